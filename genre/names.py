"""Names of files and genres as text that can be printed and stored."""

import re
from collections.abc import Iterable
from pathlib import Path
from unicodedata import category, normalize

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
    """A genre's name without characters that cannot be printed, with single spaces, in Unicode's form NFC.

    Raises:
        DataError: nothing is left of it, or it is too long.
    """
    genre = " ".join("".join(c if c.isprintable() else " " for c in normalize("NFC", name)).split())
    if not genre:
        raise DataError("Give the genre a name.")
    if len(genre) > MAX_GENRE_LENGTH:
        raise DataError(f"The genre “{genre[:20]} …” has too long a name: use at most {MAX_GENRE_LENGTH} characters.")
    return genre


def genre_key(name: str) -> str:
    """What the names of one genre share: they may differ in case and in Unicode form."""
    return normalize("NFKC", name.casefold())


def one_spelling(names: Iterable[str]) -> dict[str, str]:
    """Genres by their names: of names that differ in case or Unicode form alone, the first is the genre of all."""
    first: dict[str, str] = {}
    return {name: first.setdefault(genre_key(name), name) for name in names}


def renamed(name: str, counts_as: dict[str, str]) -> str:
    """The genre that counts for one of this name, in any spelling."""
    return {genre_key(genre): other for genre, other in counts_as.items()}.get(genre_key(name), name)


def report_spellings(genre_of: dict[str, str]) -> None:
    """Print which names are one genre.

    Args:
        genre_of: genres by the names that were found.
    """
    for genre in dict.fromkeys(genre_of.values()):
        names = [printable(name) for name, own in genre_of.items() if own == genre]
        if len(names) > 1:
            print(f"  {' and '.join(names)} are one genre, {genre}: they differ in case, spaces or Unicode form alone")
