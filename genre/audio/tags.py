"""Artist and duration of an audio file, by its headers."""

import os
import re
import unicodedata
from dataclasses import dataclass

import av

from genre.audio import ogg
from genre.audio.decode import open_container, open_file
from genre.errors import AudioError

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
        with open_file(path) as file, open_container(ogg.parts(file)[0]) as container:
            tags: dict[str, str] = {}
            for metadata in (*(track.metadata for track in container.streams.audio[:1]), container.metadata):
                tags |= {key.lower(): value.strip().lower() for key, value in metadata.items()}
            # The artist of a compilation's album is who chose the songs.
            names = ("artist", *ARTIST_TAGS) if tags.get("compilation") == "1" else ARTIST_TAGS
            tag = next((name for name in names if main_artist(tags.get(name, ""))), "")
            return Tags(main_artist(tags.get(tag, "")), tag, (container.duration or 0) / av.time_base)
    except (AudioError, av.FFmpegError, OSError, ValueError):
        return Tags()


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
