"""Artist and duration of an audio file, by its headers."""

import os
from dataclasses import dataclass

import av

from genre.audio import ogg
from genre.audio.decode import open_container, open_file
from genre.errors import AudioError

COLLECTIVE = {"various artists", "various", "va", "unknown artist", "unknown"}  # values that name no artist
ARTIST_TAGS = ("artist", "album_artist", "albumartist", "album artist", "author", "performer", "composer")


@dataclass(frozen=True)
class Tags:
    """What the headers of a file say.

    Attributes:
        artist: in lower case; empty where no tag names one.
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
            tag = next((name for name in ARTIST_TAGS if tags.get(name) and tags[name] not in COLLECTIVE), "")
            return Tags(tags.get(tag, ""), tag, (container.duration or 0) / av.time_base)
    except (AudioError, av.FFmpegError, OSError, ValueError):
        return Tags()
