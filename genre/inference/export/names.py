"""Names of files that are made from songs: valid on every system, and none given to two songs."""

import unicodedata
from collections import Counter
from pathlib import Path

from pathvalidate import sanitize_filename

from genre.names import printable

MAX_BYTES = 120  # of UTF-8; file systems take 255, and a suffix and a number follow
UNNAMED = "song"
IN_ADDRESSES = str.maketrans("#%", "__")  # would end a file's address, or begin an escape in it


def title(path: str | Path) -> str:
    """The name of a song for people: that of its file without folders and suffix, as valid and printable Unicode."""
    text = Path(printable(path)).stem
    return "".join(character for character in unicodedata.normalize("NFC", text) if character.isprintable()).strip()


def safe_name(path: str | Path) -> str:
    """A file name without suffix for a song, valid on every system.

    It has no separators, reserved names or control characters, and no dots, blanks or dashes at its ends.

    Args:
        path: of the song, or its name; may be hostile, empty or not UTF-8.
    """
    text = title(path).translate(IN_ADDRESSES)
    safe = sanitize_filename(text, replacement_text="_", platform="universal", max_len=MAX_BYTES)
    return safe.strip(" .-") or UNNAMED


class Names:
    """Gives each song of a run a name of its own, also where the case of letters does not count."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._numbers: Counter[str] = Counter()

    def new(self, path: str | Path) -> str:
        """`safe_name`; if that is taken, with the song's folder before it; if that is taken, with a number."""
        name, folder = safe_name(path), Path(printable(path)).parent.name
        if self._taken(name) and folder:
            name = safe_name(f"{folder} - {name}.")  # with an empty suffix, which `title` removes
        first = name
        while self._taken(name):
            self._numbers[first] += 1
            name = f"{first} {self._numbers[first] + 1}"
        self._given.add(name.casefold())
        return name

    def _taken(self, name: str) -> bool:
        return name.casefold() in self._given
