"""Sources of training audio: a folder of genre folders, or FMA-small as it is distributed.

Both are read to a list of `AudioClip`, which `genre.data.archive` converts to log-mel arrays.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from genre.audio import worker
from genre.audio.decode import SUFFIXES
from genre.audio.folders import FoundFiles, find_audio, is_left_out
from genre.audio.tags import Tags
from genre.errors import DataError
from genre.features.log_mel import CLIP_SECONDS
from genre.names import clean_genre, one_line, printable

CLIPS_PER_SONG = 8  # at most, evenly spaced, so that long songs do not outweigh short ones
CLIP_HOP_SECONDS = 15.0  # at least, so that clips of a song overlap by at most half their length
# Defective tracks of FMA-small: three clips without audio, three of about a second, one nearly silent
FMA_BROKEN = {99134, 108925, 133297, 98565, 98567, 98569, 72059}


@dataclass(frozen=True)
class AudioClip:
    """A clip of an audio file, to be decoded.

    Attributes:
        path: of the file.
        start: of the clip in the file, in seconds; its length is at most `CLIP_SECONDS`.
        track_id: unique in its source.
        genre: label.
        artist: by the tags, in lower case; the path where they have none.
        split: the official one of the source; empty where it has none.
    """

    path: Path
    start: float
    track_id: str
    genre: str
    artist: str
    split: str = ""


def is_fma_small(folder: Path) -> bool:
    """Whether a folder holds FMA-small's metadata and audio, unpacked."""
    return (folder / "fma_metadata" / "tracks.csv").is_file() and (folder / "fma_small").is_dir()


def fma_small(folder: Path) -> list[AudioClip]:
    """FMA-small with its official split.

    Args:
        folder: holds `fma_metadata/tracks.csv` and `fma_small/000/000002.mp3` and so on, as unpacked from the two zips.

    Raises:
        DataError: tracks.csv is not FMA's.
    """
    table = folder / "fma_metadata" / "tracks.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        columns = list(zip(next(rows), next(rows), strict=True))
        next(rows)  # the third header row names the index
        names = (("set", "subset"), ("set", "split"), ("track", "genre_top"), ("artist", "name"))
        try:
            subset, split, genre, artist = (columns.index(name) for name in names)
        except ValueError as error:
            raise DataError(f"{table} is not FMA's table of tracks.") from error
        tracks = [row for row in rows if row[subset] == "small"]
    broken = [row for row in tracks if int(row[0]) in FMA_BROKEN]
    print(f"FMA-small: {len(tracks)} tracks; {len(broken)} known to be broken are left out")
    audio = folder / "fma_small"
    return [
        AudioClip(
            path=audio / f"{int(row[0]):06}"[:3] / f"{int(row[0]):06}.mp3",
            start=0.0,
            track_id=row[0],
            genre=row[genre],
            artist=row[artist].strip().lower(),
            split=row[split],
        )
        for row in tracks
        if int(row[0]) not in FMA_BROKEN
    ]


def genre_folders(folder: Path) -> list[AudioClip]:
    """The clips of all songs of a folder with a sub-folder for each genre; copies of a file are left out.

    Raises:
        DataError: no sub-folder holds a song, or copies of a file are in two genres.
    """
    songs = _without_copies(find_songs(folder), folder)
    tags = {path: worker.tags(path) for paths in songs.values() for path in paths}
    report_tags(folder, len(songs), tags)
    return [
        AudioClip(
            path=path,
            start=start,
            track_id=f"{path.relative_to(folder).as_posix()}@{start:g}",
            genre=genre,
            artist=tags[path].artist or str(path),
        )
        for genre, paths in songs.items()
        for path in paths
        for start in clip_starts(tags[path].seconds)
    ]


def find_songs(folder: Path) -> dict[str, list[Path]]:
    """Songs by genre, of a folder with a sub-folder for each; prints what is left out.

    Raises:
        DataError: no sub-folder holds a song, or the name of one is too long.
    """
    found = [
        (child.name, find_audio(child))
        for child in sorted(folder.iterdir())
        if child.is_dir() and not is_left_out(child.name)
    ]
    songs: dict[str, list[Path]] = defaultdict(list)
    for name, one in found:
        if one.files:
            songs[clean_genre(name)] += one.files
    if not songs:
        raise DataError(f"{folder} needs sub-folders with songs, one for each genre.")
    _report_left_out([one for _, one in found])
    if loose := sum(child.suffix.lower() in SUFFIXES and not is_left_out(child.name) for child in folder.glob("*.*")):
        print(f"  {loose} songs beside the genre folders are left out")
    if empty := [printable(name) for name, one in found if not one.files]:
        print(f"  no song is in {', '.join(empty)}")
    return dict(songs)


def _without_copies(songs: dict[str, list[Path]], folder: Path) -> dict[str, list[Path]]:
    """Songs by genre without copies of a file, which are printed: one of two could be in another split.

    Raises:
        DataError: copies of a file are in two genres.
    """
    sizes = Counter(_size(path) for paths in songs.values() for path in paths)
    first: dict[bytes, tuple[str, Path]] = {}
    copies: set[Path] = set()
    for genre, paths in songs.items():
        for path in paths:
            if sizes[_size(path)] == 1 or not _size(path):
                continue
            with path.open("rb") as file:
                own, other = first.setdefault(hashlib.file_digest(file, "sha256").digest(), (genre, path))
            if other is path:
                continue
            names = [printable(one.relative_to(folder).as_posix()) for one in (other, path)]
            if own != genre:
                raise DataError(f"{names[0]} and {names[1]} are the same file. Leave it in one genre.")
            print(f"  {names[1]} is the same file as {names[0]} and is left out")
            copies.add(path)
    return {genre: [path for path in paths if path not in copies] for genre, paths in songs.items()}


def _size(path: Path) -> int:
    """Bytes of a file; 0 for a link to nothing, which decoding reports."""
    return path.stat().st_size if path.is_file() else 0


def clip_starts(seconds: float) -> list[float]:
    """Starts of the clips of a song, in seconds: evenly spaced, the first at 0, the last ends with the song."""
    room = max(0.0, seconds - CLIP_SECONDS)
    clips = min(CLIPS_PER_SONG, int(room / CLIP_HOP_SECONDS + 0.01) + 1)
    return [round(room * i / max(1, clips - 1), 3) for i in range(clips)]


def _report_left_out(found: list[FoundFiles]) -> None:
    others = sum(one.others for one in found)
    if others:
        print(f"  {others} other files are left out")
    for one in found:
        for path, reason in one.unreadable.items():
            print(f"  {one_line(path)}: {reason}")


def report_tags(folder: Path, genres: int, tags: dict[Path, Tags]) -> None:
    """Print by which tags the artists of songs are known."""
    counts = Counter(one.tag for one in tags.values())
    unnamed = counts.pop("", 0)
    named = ", ".join(f"{count} by the tag {tag!r}" for tag, count in counts.most_common())
    print(f"{folder.name}: {len(tags)} songs in {genres} genres; artists: {named or 'none named'}")
    if unnamed:
        print(
            f"  {unnamed} songs name no artist and count as artists of their own: figures are too high if some of them "
            "share one"
        )
