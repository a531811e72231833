"""Names of files and genres as text that can be printed and stored."""

import re
from pathlib import Path
from unicodedata import category

from genre.errors import DataError

SURROGATES = re.compile("[\ud800-\udfff]")
MAX_GENRE_LENGTH = 40  # characters


def printable(path: str | Path) -> str:
    """A file name as valid Unicode: bytes that are not UTF-8, as in old archives, become U+FFFD.

    Python has them as lone surrogates (PEP 383); those that other programs send are replaced, too.
    """
    return SURROGATES.sub("\ufffd", str(path))


def one_line(path: str | Path) -> str:
    """A file name for a terminal: control characters and line breaks become U+FFFD, too."""
    return "".join("\ufffd" if category(c) in ("Cc", "Zl", "Zp") else c for c in printable(path))


def clean_genre(name: str) -> str:
    """A genre's name without characters that cannot be printed and with single spaces.

    Raises:
        DataError: nothing is left of it, or it is too long.
    """
    genre = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not genre:
        raise DataError("Give the genre a name.")
    if len(genre) > MAX_GENRE_LENGTH:
        raise DataError(f"The genre “{genre[:20]} …” has too long a name: use at most {MAX_GENRE_LENGTH} characters.")
    return genre
