"""Find the decodable files of a folder, for the command line, the page and training.

Files are chosen by their names (`genre.audio.decode.SUFFIXES`). Hidden files, what a cloud has in the place of a song,
and the folders of operating systems and network drives are left out and counted. The expressions are also those of the
page's script, which filters a folder before it is uploaded: each is for a whole name, in any case of letters.
"""

import os
import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from genre.audio.decode import SUFFIXES
from genre.files import one_line

HIDDEN = r"\.(?!\.).*"  # with two dots or more it is a title: "...And Justice for All"
# Deleted files on Windows ($RECYCLE.BIN, and folders by the number of a user), Synology (#recycle), QNAP (@Recycle),
# other network drives (in several languages) and Unix (.Trash-1000); snapshots, indices and the like of these; what a
# check of the disk or a zip of macOS has made. Recycler, Recycled and Trash are albums, too.
SYSTEM = (
    r"\$RECYCLE\.BIN|S-1-\d+(-\d+)+|System Volume Information|#recycle|#snapshot|@eaDir|@tmp|@Recycle|@sharebin|"
    r"@Recently-Snapshot|~snapshot|\.Trash(es|-.*)?|Network Trash Folder|trashbox|files_trashbin|"
    r"(Network Recycle Bin|Recycle Bin|Papierkorb|Corbeille|Papelera de reciclaje|Cestino|Lixeira|Prullenbak|Корзина|"
    r"回收站|ごみ箱|휴지통)( \d| - Volume_\d)?|Temporary Items|lost\+found|LOST\.DIR|FOUND\.\d{3}|__MACOSX"
)
CLOUDS = {"icloud": "iCloud", "nextcloud": "Nextcloud", "owncloud": "ownCloud"}  # by the suffix of a placeholder
PLACEHOLDER = rf"\.?.+({'|'.join(re.escape(suffix) for suffix in sorted(SUFFIXES))})\.({'|'.join(CLOUDS)})"
NAMED = 3  # folders that are left out


@dataclass
class FoundFiles:
    """What `find_audio` found.

    Attributes:
        files: decodable by their names, sorted; with dangling links, so that decoding reports them.
        others: number of the other files.
        hidden: number of hidden files.
        clouds: by the name of a cloud, how many songs have not been downloaded from it.
        folders: hidden folders and those of the system, which were not walked.
        unreadable: why sub-folders, or the folder itself, could not be read, by path, sorted.
    """

    files: list[Path] = field(default_factory=list)
    others: int = 0
    hidden: int = 0
    clouds: Counter[str] = field(default_factory=Counter)
    folders: list[Path] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)


def find_audio(folder: Path) -> FoundFiles:
    """The decodable files in a folder and its sub-folders.

    Hidden files and folders (a single dot in front, such as the `._song.mp3` of macOS) and those of the system are left
    out; the folder itself is walked where it is hidden, but not where it is the system's. Symbolic links are followed.
    A folder that is reachable by multiple paths is walked once, by its real path where that is in `folder`, so that a
    link to a parent folder makes no loop. Pipes, sockets and devices count as others, whatever their names.
    """
    found, visited = FoundFiles(), set()
    if _matches(SYSTEM, folder.name):
        found.folders.append(folder)
        return found
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
            path = here / entry.name
            try:
                if (placeholder := _matches(PLACEHOLDER, entry.name)) and not entry.is_dir():
                    found.clouds[CLOUDS[placeholder[2].lower()]] += 1
                elif is_left_out(entry.name):
                    if entry.is_dir():
                        found.folders.append(path)
                    else:
                        found.hidden += 1
                elif entry.is_dir():
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
    """Whether a file or folder of this name is hidden or the system's."""
    return bool(_matches(f"{HIDDEN}|{SYSTEM}", name))


def left_out(found: Iterable[FoundFiles]) -> list[str]:
    """A line for every kind of file that was left out of folders, with their number."""
    found = list(found)
    others, hidden = sum(one.others for one in found), sum(one.hidden for one in found)
    clouds = sum((one.clouds for one in found), Counter[str]())
    folders = [path for one in found for path in one.folders]
    names = list(dict.fromkeys(one_line(path.name) for path in folders))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [
        *([f"{_count(others, 'other file')} skipped in folders: not audio or video by name"] if others else []),
        *([f"{_count(hidden, 'hidden file')} skipped"] if hidden else []),
        *(
            f"{_count(number, 'song')} {'are' if number > 1 else 'is'} not downloaded from {cloud}"
            for cloud, number in clouds.items()
        ),
        *(
            [f"{_count(len(folders), 'hidden or system folder')} skipped: {', '.join(names[:NAMED])}{more}"]
            if folders
            else []
        ),
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def _matches(pattern: str, name: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL)


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    return (error.strerror or "it cannot be read").lower()
