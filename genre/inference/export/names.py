"""Names of files that are made from songs: valid on every system, and none given to two songs."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pathvalidate import sanitize_filename

from genre.files import printable

MAX_BYTES = 120  # of UTF-8; file systems take 255, and a suffix and a number follow
UNNAMED = "song"
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
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


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """A file name for each song of a run, which says of which song it is, and which no two have.

    It is `safe_name` and the song's suffix. Songs that share it, where the case of letters does not count, have their
    folder before it, and a number after it where they share that, too. The order of the songs makes no difference,
    except between songs with equal paths.
    """
    names = [safe_name(path) + _suffix(path) for path in paths]
    songs = Counter(name.casefold() for name in names)
    for i, path in enumerate(paths):
        folder = Path(printable(path)).parent.name
        if songs[names[i].casefold()] > 1 and folder:
            name = safe_name(f"{folder} - {title(path)}.")  # with an empty suffix, which `title` removes
            names[i] = name + _suffix(path)
    given: set[str] = set()
    numbers: Counter[str] = Counter()
    for i in sorted(range(len(paths)), key=lambda i: str(paths[i])):
        first = names[i]
        while names[i].casefold() in given:
            numbers[first] += 1
            names[i] = f"{first} {numbers[first] + 1}"
        given.add(names[i].casefold())
    return names


def _suffix(path: str | Path) -> str:
    """The suffix of a song, such as ".mp3"; empty where it is not made of a few letters and digits."""
    suffix = Path(printable(path)).suffix
    return suffix if SUFFIX.fullmatch(suffix) else ""
