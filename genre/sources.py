"""Where training audio comes from: a folder of genre folders, or FMA-small as it is distributed.

Both end as a list of clips with genre and split, which `genre.archive` turns into log-mels.
"""

import csv
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from genre.audio import FORMATS, SUFFIXES
from genre.errors import DataError
from genre.frontend import CLIP_SECONDS

CLIPS_PER_SONG = 8  # of a song longer than a clip, evenly spaced, so that long songs do not drown short ones
HELD_OUT = 0.1  # part of a genre's artists that validation gets, and test
# FMA-small's own defects: three clips without audio, three of about a second, one nearly silent
FMA_BROKEN = {99134, 108925, 133297, 98565, 98567, 98569, 72059}


@dataclass(frozen=True)
class Source:
    """A clip to hear: at most 30 s of a file from `start` seconds on."""

    path: Path
    start: float
    track_id: str
    genre: str
    split: str


def is_fma_small(folder: Path) -> bool:
    """Whether a folder holds FMA-small's metadata and audio, unpacked."""
    return (folder / "fma_metadata" / "tracks.csv").is_file() and (folder / "fma_small").is_dir()


def fma_small(folder: Path) -> list[Source]:
    """FMA-small with its official split.

    Args:
        folder: holds `fma_metadata/tracks.csv` and `fma_small/000/000002.mp3` and so on, as the two zips unpack.

    Raises:
        DataError: tracks.csv is not FMA's.
    """
    with (folder / "fma_metadata" / "tracks.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        columns = list(zip(next(rows), next(rows), strict=True))
        next(rows)  # the third header row names the index
        try:
            subset, split, genre = (
                columns.index(name) for name in (("set", "subset"), ("set", "split"), ("track", "genre_top"))
            )
        except ValueError as error:
            raise DataError(f"{folder / 'fma_metadata' / 'tracks.csv'} is not FMA's table of tracks.") from error
        tracks = [(int(row[0]), row[genre], row[split]) for row in rows if row[subset] == "small"]
    print(f"FMA-small: {len(tracks)} tracks; {sum(t[0] in FMA_BROKEN for t in tracks)} known to be broken are left out")
    return [
        Source(folder / "fma_small" / f"{track:06}"[:3] / f"{track:06}.mp3", 0.0, str(track), genre, split)
        for track, genre, split in tracks
        if track not in FMA_BROKEN
    ]


def genre_folders(folder: Path, seed: int = 0) -> list[Source]:
    """Every song of a folder with one sub-folder a genre, cut into clips and split by artist.

    An artist is who the file's tags name, else the file itself. Of each genre's artists a tenth, at least one, goes to
    validation and as many to test, so that no artist is in two splits.

    Raises:
        DataError: fewer than two genres, or a genre with fewer than three artists.
    """
    songs = {
        child.name: sorted(p for p in child.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
    }
    songs = {genre: paths for genre, paths in songs.items() if paths}
    if len(songs) < 2:
        raise DataError(f"{folder} needs at least two sub-folders with songs, one a genre.")
    tags = {path: _tags(path) for paths in songs.values() for path in paths}
    split_of: dict[str, str] = {}
    for genre, paths in songs.items():
        artists = sorted({tags[path][0] for path in paths})
        if len(artists) < 3:
            raise DataError(
                f"{genre} has {len(artists)} artist{'s' * (len(artists) != 1)}; training, validation and test need one "
                "each, so give it songs of at least three."
            )
        _assign(artists, split_of, np.random.default_rng(seed))
    _report(songs, tags, split_of, folder)
    return [
        Source(path, start, f"{path.relative_to(folder).as_posix()}@{start:g}", genre, split_of[tags[path][0]])
        for genre, paths in songs.items()
        for path in paths
        for start in _clip_starts(tags[path][1])
    ]


def _assign(artists: list[str], split_of: dict[str, str], random: np.random.Generator) -> None:
    """Give every artist of a genre a split, leaving those that another genre has placed already."""
    wanted = max(1, round(HELD_OUT * len(artists)))
    placed = Counter(split_of.get(artist) for artist in artists)
    lacking = [split for split in ("validation", "test") for _ in range(wanted - placed[split])]
    for position in random.permutation(len(artists)):
        artist = artists[position]
        if artist not in split_of:
            split_of[artist] = lacking.pop() if lacking else "training"


def _tags(path: Path) -> tuple[str, float]:
    """Artist (the path where the tags name none) and length in seconds (0 where the file does not say)."""
    try:
        with av.open(str(path), options={"format_whitelist": FORMATS}, metadata_errors="replace") as container:
            names = {key.lower(): value.strip().lower() for key, value in container.metadata.items()}
            return names.get("artist") or str(path), (container.duration or 0) / av.time_base
    except (av.FFmpegError, OSError, ValueError):
        return str(path), 0.0  # the archive will name it


def _clip_starts(seconds: float) -> list[float]:
    """Where to cut clips from a song, in seconds; a song of up to two clips gives one, from its start."""
    clips = max(1, min(CLIPS_PER_SONG, int(seconds / CLIP_SECONDS)))
    return [round(float(at), 3) for at in np.linspace(0, max(0.0, seconds - CLIP_SECONDS), clips)]


def _report(songs: dict, tags: dict, split_of: dict, folder: Path) -> None:
    named = sum(artist != str(path) for path, (artist, _) in tags.items())
    counts = defaultdict(Counter)
    for genre, paths in songs.items():
        counts[genre].update(split_of[tags[path][0]] for path in paths)
    print(f"{folder.name}: {len(tags)} songs in {len(songs)} genres, split by artist; {named} name one in their tags")
    if named < len(tags):
        print(
            f"  the other {len(tags) - named} count as artists of their own: figures are too high if some share one",
            file=sys.stderr,
        )
    for genre, count in counts.items():
        print(f"  {genre}: " + ", ".join(f"{count[split]} {split}" for split in ("training", "validation", "test")))
