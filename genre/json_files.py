"""JSON files, as the project writes them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def json_list(file: TextIO) -> Iterator[Callable[[dict], None]]:
    """Write a list object by object, each at once; it is closed however the context ends.

    Yields:
        what appends an object.
    """
    separator = "\n "

    def append(content: dict) -> None:
        nonlocal separator
        text = json.dumps(content, indent=1, ensure_ascii=False).replace("\n", "\n ")  # breaks are between values only
        file.write(separator + text)
        file.flush()
        separator = ",\n "

    try:
        file.write("[")
        yield append
    finally:
        file.write("\n]\n")
        file.flush()
