"""Find the decodable files of a folder, for the command line, the page and training.

Files are chosen by their names (`genre.audio.decode.SUFFIXES`); hidden and system files are left out.
"""

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from genre.audio.decode import SUFFIXES

MAC_ATTRIBUTES = "__MACOSX"  # a folder in zip archives made on macOS, with a file of attributes for every file


@dataclass
class FoundFiles:
    """What `find_audio` found.

    Attributes:
        files: decodable by their names, sorted; with dangling links, so that decoding reports them.
        others: number of the other files.
        unreadable: why sub-folders, or the folder itself, could not be read, by path, sorted.
    """

    files: list[Path] = field(default_factory=list)
    others: int = 0
    unreadable: dict[Path, str] = field(default_factory=dict)


def find_audio(folder: Path) -> FoundFiles:
    """The decodable files in a folder and its sub-folders.

    Hidden files and folders (a dot in front, such as the `._song.mp3` of macOS) and `__MACOSX` are left out and not
    counted. Symbolic links are followed. A folder that is reachable by multiple paths is walked once, by its
    real path where that is in `folder`, so that a link to a parent folder makes no loop. Pipes, sockets
    and devices count as others, whatever their names.
    """
    found, visited = FoundFiles(), set()
    folders: deque[Path] = deque([folder])
    linked: deque[Path] = deque()
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
            except OSError as error:  # a link into an unreadable folder, or a circular link
                found.unreadable[path] = _reason(error)
    found.files.sort()
    found.unreadable = dict(sorted(found.unreadable.items()))
    return found


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is hidden or a system file."""
    return name.startswith(".") or name == MAC_ATTRIBUTES


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    return (error.strerror or "it cannot be read").lower()
