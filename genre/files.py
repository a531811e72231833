"""Files and their names: replacing files, JSON files, names as text that can be printed and stored.

Whatever takes the place of an earlier file is written by `replaced` or `move`: the new one is written beside it, synced
to the disk and renamed. Whoever reads the file, also after a crash or a power cut, finds the old one or the new one,
and neither cut off nor full of zeros.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TextIO
from unicodedata import category, normalize

from genre.errors import DataError

SURROGATES = re.compile("[\ud800-\udfff]")
MAX_GENRE_LENGTH = 40  # characters


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """The path of a new file, which takes the place of the one at `path` at the end of the context.

    After an error the new file is removed, and `path` is as it was. Of a symbolic link the target is replaced.

    Raises:
        OSError: there is no room or no permission.
    """
    target = path.resolve()
    new = target.with_name(f"{target.name}.tmp")
    try:
        yield new
        move(new, target)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def move(new: Path, target: Path) -> None:
    """Sync a file, or a folder with all that is in it, and rename it to `target`; a file at `target` is replaced.

    Raises:
        OSError: as `replaced`; also where `target` is a folder, or on another file system.
    """
    for path in (new, *(new.rglob("*") if new.is_dir() else ())):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
    new.replace(target)


def numbered(path: Path) -> Iterator[Path]:
    """`path`, `path-2`, `path-3` and so on: names to choose from for what is kept of earlier runs."""
    yield path
    yield from (path.with_name(f"{path.name}-{number}") for number in count(2))


def read_json(path: Path) -> dict:
    """Parse a UTF-8 file; raises OSError or ValueError."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: dict) -> None:
    """Write an indented UTF-8 file; makes its folder. Names of files that are not Unicode are replaced in part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = printable(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"
    with replaced(path) as new:
        new.write_text(text, encoding="utf-8")


@contextmanager
def json_list(file: TextIO) -> Iterator[Callable[[dict], None]]:
    """Write a JSON list, object by object; the list is closed also when the context ends by an error.

    Yields:
        a function that writes one more object and flushes the file.
    """
    separator = "\n "

    def append(content: dict) -> None:
        nonlocal separator
        text = json.dumps(content, indent=1, ensure_ascii=False).replace("\n", "\n ")  # strings hold no line breaks
        file.write(separator + text)
        file.flush()
        separator = ",\n "

    try:
        file.write("[")
        yield append
    finally:
        file.write("\n]\n")
        file.flush()


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
    """What the names of one genre share: they may differ in case, Unicode form, and the kind of dashes and quotes."""
    same = normalize("NFKC", name.casefold())
    return "".join("-" if category(c) == "Pd" else "'" if c in "‘’ʼ´`" else c for c in same)


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
