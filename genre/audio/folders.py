"""Find the decodable files of a folder, and who made them, for the command line, the page and training.

Files are chosen by their names (`genre.audio.decode.SUFFIXES`). Hidden files, what a cloud has in the place of a song,
and the folders of operating systems and network drives are left out and counted. The expressions are also those of the
page's script, which filters a folder before it is uploaded: each is for a whole name, in any case of letters.
"""

import json
import os
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av

from genre.audio.containers import parts
from genre.audio.decode import SUFFIXES, open_container, open_file
from genre.errors import AudioError
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

# Artists
# Values that name no artist, also in brackets, in several languages, as rippers and shops write them
COLLECTIVE = set(
    "various artists,various,va,v.a.,v/a,unknown artist,unknown,anonymous,no artist,diverse,diverse interpreten,"
    "verschiedene interpreten,verschiedene künstler,artistes divers,artistes variés,multi-interprètes,varios artistas,"
    "vários artistas,vários intérpretes,artisti vari,aa.vv.,aa. vv.,diverse artiesten,diverse artister,"
    "diverse kunstnere,eri esittäjiä,różni wykonawcy,různí interpreti,разные исполнители,群星,soundtrack,"
    "original soundtrack,ost".split(",")
)
ARTIST_TAGS = ("album_artist", "albumartist", "album artist", "artist", "author", "performer", "composer")
# Between two artists: how tags store several (FFmpeg reads the first one of ID3v2.4, "A/B" of ID3v2.3, "A;B" of Vorbis
# comments), and words for a guest, in several languages, which only count where a name follows: Little Feat, Malcolm X.
_WORDS = (
    r"(?:featuring|feat|ft|with|and|vs|versus|x|presents|pres|introducing|starring|meets|mit|und|avec|et|con|y|com|och|og|"
    r"с|и)\b"
)
JOINT = re.compile(
    rf"(?:\s[fw])?[;/|\\、\0]|,(?!\d)|\s[&+×•·]\s|[\s(\[]{{1,2}}-?{_WORDS}[.:]?\s*(?![\s&+×•·;/|,)(\[]|{_WORDS}|$)"
)


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
    found, lines = list(found), []
    if others := sum(one.others for one in found):
        lines.append(f"{_count(others, 'other file')} skipped in folders: not audio or video by name")
    if hidden := sum(one.hidden for one in found):
        lines.append(f"{_count(hidden, 'hidden file')} skipped")
    for cloud, number in sum((one.clouds for one in found), Counter[str]()).items():
        lines.append(f"{_count(number, 'song')} {'are' if number > 1 else 'is'} not downloaded from {cloud}")
    if folders := [path for one in found for path in one.folders]:
        names = list(dict.fromkeys(one_line(path.name) for path in folders))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(f"{_count(len(folders), 'hidden or system folder')} skipped: {', '.join(names[:NAMED])}{more}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def _matches(pattern: str, name: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL)


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    return (error.strerror or "it cannot be read").lower()


@dataclass(frozen=True)
class Tags:
    """What the headers of a file say.

    Attributes:
        artist: by `main_artist`; empty where no tag names one.
        tag: the name of the tag, one of `ARTIST_TAGS`.
        seconds: duration; 0 where the file declares none.
    """

    artist: str = ""
    tag: str = ""
    seconds: float = 0.0


def read_tags(path: str | os.PathLike) -> Tags:
    """Read the tags of a file, of its first audio stream and, before these, of the container; none if it is damaged."""
    try:
        with open_file(path) as file, open_container(parts(file)[0]) as container:
            tags: dict[str, str] = {}
            for metadata in (*(track.metadata for track in container.streams.audio[:1]), container.metadata):
                tags |= {key.lower(): value.strip().lower() for key, value in metadata.items()}
            # The artist of a compilation's album is who chose the songs.
            names = ("artist", *ARTIST_TAGS) if tags.get("compilation") == "1" else ARTIST_TAGS
            tag = next((name for name in names if main_artist(tags.get(name, ""))), "")
            return Tags(main_artist(tags.get(tag, "")), tag, (container.duration or 0) / av.time_base)
    except (AudioError, av.FFmpegError, OSError, ValueError):
        return Tags()


def stream_tags(path: str | os.PathLike) -> Iterator[str]:
    """The fields of `read_tags` as JSON, for `genre.audio.worker`."""
    yield json.dumps(asdict(read_tags(path)))


def main_artist(names: str) -> str:
    """The artist whose songs are kept together: the first of those that a tag names, without guests.

    Two artists whose names begin alike, as "Paul & Mary" and "Paul, John" would, become one. That makes a group larger,
    while an artist in two groups would be in training and in test.

    Returns:
        in lower case and Unicode's form NFKC, with single spaces; empty where none is named.
    """
    name = " ".join(unicodedata.normalize("NFKC", names).lower().split())
    parts = (name[: joint.start()].rstrip(" ([{-") for joint in JOINT.finditer(name))
    first = next((part for part in parts if part), name)
    return "" if {name.strip("[]()<>"), first.strip("[]()<>")} & COLLECTIVE else first
