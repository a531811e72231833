"""Which files of a folder are decodable: one walk for the shell, the page and training.

Names decide: `genre.audio.decode.SUFFIXES` are those of decodable files; what systems hide or put beside files is left
out.
"""

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from genre.audio.decode import SUFFIXES

MAC_ATTRIBUTES = "__MACOSX"  # a folder of zip archives made on macOS; it repeats the name of every file


@dataclass
class FoundFiles:
    """What `find_audio` found.

    Attributes:
        files: decodable by their names, sorted. A link that leads nowhere is among them, so that reading it says so.
        others: number of the other files.
        unreadable: why sub-folders, or the folder itself, could not be read, by path, sorted.
    """

    files: list[Path] = field(default_factory=list)
    others: int = 0
    unreadable: dict[Path, str] = field(default_factory=dict)


def is_audio_name(name: str | PurePath) -> bool:
    """Whether `find_audio` takes a file of this name; folders in front count, from the one that was handed in."""
    path = PurePath(name)
    return path.suffix.lower() in SUFFIXES and not any(is_left_out(part) for part in path.parts)


def find_audio(folder: Path) -> FoundFiles:
    """The decodable files in a folder and its sub-folders.

    Hidden files and folders (a dot in front, such as the `._song.mp3` of macOS) and `__MACOSX` are left out and not
    counted. Symbolic links are followed. A folder that can be reached in several ways is walked once, as itself rather
    than through a link where both are in `folder`, so that a link to a folder above it makes no loop. Pipes, sockets
    and devices count as others, whatever their names.
    """
    found, visited = FoundFiles(), set()
    folders, linked = deque([folder]), deque()
    while folders or linked:
        here = folders.popleft() if folders else linked.popleft()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            found.unreadable[here] = _reason(error)
            continue
        for entry in entries:
            if is_left_out(entry.name):
                continue
            path = here / entry.name
            try:
                if entry.is_dir():
                    (linked if entry.is_symlink() else folders).append(path)
                elif path.suffix.lower() in SUFFIXES and (entry.is_file() or not path.exists()):
                    found.files.append(path)
                else:
                    found.others += 1
            except OSError as error:  # a link into a folder that may not be read, or in a circle
                found.unreadable[path] = _reason(error)
    found.files.sort()
    found.unreadable = dict(sorted(found.unreadable.items()))
    return found


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or made by a system beside the real one."""
    return (name.startswith(".") and name != "..") or name == MAC_ATTRIBUTES


def _reason(error: OSError) -> str:
    return "reading it is not permitted" if isinstance(error, PermissionError) else error.strerror.lower()
