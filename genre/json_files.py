"""Reading and writing JSON files."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from genre.names import printable
from genre.replace import replaced


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
