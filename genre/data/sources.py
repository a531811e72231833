"""Sources of training audio: a folder of genre folders, songs without genres, or FMA-small as it is distributed.

They become a list of `AudioClip`, which `genre.data.archive` converts to log-mel arrays. `genre.data.hub` reads data
sets of the Hugging Face Hub.
"""

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from genre.audio.audio import CLIP_SECONDS, Audio
from genre.audio.folders import find_audio, is_left_out, left_out, main_artist
from genre.errors import DataError
from genre.files import clean_genre, genre_key, one_line, one_spelling, printable, report_spellings

CLIPS_PER_SONG = 8  # at most, evenly spaced, so that long songs do not outweigh short ones
CLIP_HOP_SECONDS = 15.0  # at least, so that clips of a song overlap by at most half their length
NAMED = 5  # artists that a message lists
# Names of folders that are the parts of a data set, as "train", "Test set" or "02_validation"
PARTS = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "training"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "tests", "testing", "tst", "eval", "evaluation", "holdout"), "test"),
}
PART_WORDS = {"set", "data", "split", "songs", "audio", "music", "files"}  # that may be part of such a name
# Defective tracks of FMA-small: three clips without audio, three of about a second, one nearly silent
FMA_BROKEN = {99134, 108925, 133297, 98565, 98567, 98569, 72059}


@dataclass(frozen=True)
class SongFile:
    """A song of a folder or of a data set on the Hub.

    Attributes:
        path: of the audio file.
        name: unique in its source.
        genre: label; empty where it is not known.
        artist: by `genre.audio.folders.main_artist`; empty where none is named.
        split: the official one of the source: training, validation or test; empty where it has none.
        seconds: duration by the headers of the file; 0 where they declare none.
    """

    path: Path
    name: str
    genre: str
    artist: str
    split: str
    seconds: float


@dataclass(frozen=True)
class AudioClip:
    """A clip of an audio file, to be decoded.

    Attributes:
        path: of the file.
        start: of the clip in the file, in seconds; its length is at most `CLIP_SECONDS`.
        track_id: unique in its source.
        genre: label; empty where it is not known.
        artist: by `genre.audio.folders.main_artist`; a name of the song's own where there is none.
        split: the official one of the source; empty where it has none.
        song: which the clips of one file share.
    """

    path: Path
    start: float
    track_id: str
    genre: str
    artist: str
    split: str = ""
    song: str = ""


def is_fma_small(folder: Path) -> bool:
    """Whether a folder holds FMA-small's metadata and audio, unpacked."""
    return (folder / "fma_metadata" / "tracks.csv").is_file() and (folder / "fma_small").is_dir()


def is_fma_audio(folder: Path) -> bool:
    """Whether a folder holds FMA's audio alone: 000/000002.mp3 and the like."""
    songs = list(folder.glob("[0-9][0-9][0-9]/*.mp3"))
    return bool(songs) and all(re.fullmatch(rf"{song.parent.name}\d{{3}}\.mp3", song.name) for song in songs)


@dataclass(frozen=True)
class FmaTrack:
    """A row of FMA's table."""

    number: int
    subset: str
    split: str
    genre: str
    artist: str
    title: str


def fma_tracks(table: Path) -> list[FmaTrack]:
    """The rows of FMA's tracks.csv; raises DataError for another table."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        try:
            columns = list(zip(next(rows), next(rows), strict=True))
            next(rows)  # the third header row names the index
            track = (("track", "genre_top"), ("artist", "name"), ("track", "title"))
            places = [columns.index(name) for name in (("set", "subset"), ("set", "split"), *track)]
        except (ValueError, StopIteration) as error:
            raise DataError(f"{table} is not FMA's table of tracks.") from error
        return [FmaTrack(int(row[0]), *(row[place] for place in places)) for row in rows]


def fma_small(folder: Path) -> list[AudioClip]:
    """FMA-small with its official split.

    Args:
        folder: holds `fma_metadata/tracks.csv` and `fma_small/000/000002.mp3` and so on, as unpacked from the two zips.

    Raises:
        DataError: tracks.csv is not FMA's.
    """
    tracks = [track for track in fma_tracks(folder / "fma_metadata" / "tracks.csv") if track.subset == "small"]
    broken = [track for track in tracks if track.number in FMA_BROKEN]
    print(f"FMA-small: {len(tracks)} tracks; {len(broken)} known to be broken are left out")
    audio = folder / "fma_small"
    return [
        AudioClip(
            path=audio / f"{track.number:06}"[:3] / f"{track.number:06}.mp3",
            start=0.0,
            track_id=str(track.number),
            genre=track.genre,
            artist=main_artist(track.artist),
            split=track.split,
        )
        for track in tracks
        if track.number not in FMA_BROKEN
    ]


def folder_songs(folder: Path) -> list[SongFile]:
    """The songs of a folder with a sub-folder for each genre, without copies of a file; prints what is left out.

    Their official split is by `genres_by_folder`.

    Raises:
        DataError: there is no such folder, no sub-folder holds a song, the name of one is too long, a split has no
            genres, or copies of a file are in two genres.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.")
    files = _audio_files(folder)
    folders = [path.relative_to(folder).parts[:-1] for path in files]
    places = genres_by_folder(folders)
    names = {place[0]: clean_genre(place[0]) for place in places if place}
    if not names:
        raise DataError(f"{folder} needs sub-folders with songs, one for each genre.")
    genre_of = one_spelling_of(names)
    if splits := sorted({place[1] for place in places if place} - {""}):
        print(f"{folder.name}: its folders for {', '.join(splits)} are the split, and no genres")
    else:
        _report_alike(folders)
    if loose := places.count(None):
        print(f"  {loose} songs beside the genre folders are left out")
    with_songs = {parts[0] for parts in folders if parts}
    inside = sorted(child.name for child in folder.iterdir() if child.is_dir() and not is_left_out(child.name))
    if empty := [printable(name) for name in inside if name not in with_songs]:
        print(f"  no song is in {', '.join(empty)}")
    placed = [(path, genre_of[place[0]], place[1]) for path, place in zip(files, places, strict=True) if place]
    order = list(dict.fromkeys(genre_of.values()))
    return _songs(folder, sorted(placed, key=lambda one: order.index(one[1])))


def unlabelled_songs(folder: Path) -> list[SongFile]:
    """The songs of a folder, without a genre and without copies of a file; raises DataError where there is none."""
    files = _audio_files(folder)
    if not files:
        raise DataError(f"{folder} holds no song.")
    return _songs(folder, [(path, "", "") for path in files])


def _audio_files(folder: Path) -> list[Path]:
    found = find_audio(folder)
    for line in left_out([found]):
        print(f"  {line}")
    for path, reason in found.unreadable.items():
        print(f"  {one_line(path)}: {reason}")
    return found.files


def _songs(folder: Path, files: list[tuple[Path, str, str]]) -> list[SongFile]:
    """The songs of these files with genre and split, each file once, with artist and duration by their tags."""
    original_of = same_files(path for path, _, _ in files)
    genre_of = {path: genre for path, genre, _ in files}
    songs, tags = [], []
    for path, genre, split in files:
        original = original_of[path]
        if original is not path:  # which could be in another split
            name, other = (printable(one.relative_to(folder).as_posix()) for one in (path, original))
            if genre != genre_of[original]:
                raise DataError(f"{other} and {name} are the same file. Leave it in one genre.")
            print(f"  {name} is the same file as {other} and is left out")
            continue
        tags.append(Audio(path).tags)
        name = path.relative_to(folder).as_posix()
        songs.append(SongFile(path, name, genre, tags[-1].artist, split, tags[-1].seconds))
    counts = Counter(one.tag for one in tags)
    unnamed = counts.pop("", 0)
    named = ", ".join(f"{count} by the tag {tag!r}" for tag, count in counts.most_common())
    print(
        f"{folder.name}: {len(songs)} songs in {len(set(genre_of.values()))} genres; artists: {named or 'none named'}"
    )
    if unnamed:
        print(
            f"  {unnamed} songs name no artist and count as artists of their own: figures are too high if some of them "
            "share one"
        )
    report_shared_artists(songs)
    return songs


def same_files(paths: Iterable[Path]) -> dict[Path, Path]:
    """For each file the first one with the same content; a file is read only where another one has its size."""
    sizes = {path: path.stat().st_size if path.is_file() else 0 for path in paths}  # 0 for a link to nothing
    counts = Counter(sizes.values())
    first: dict[bytes, Path] = {}
    original_of = {}
    for path, size in sizes.items():
        original_of[path] = path
        if size and counts[size] > 1:
            with path.open("rb") as file:
                original_of[path] = first.setdefault(hashlib.file_digest(file, "sha256").digest(), path)
    return original_of


def one_spelling_of(names: dict[str, str]) -> dict[str, str]:
    """The genre of each name, given the clean ones; those that differ in case or Unicode form are one, and printed."""
    spelling = one_spelling(names.values())
    genre_of = {name: spelling[genre] for name, genre in names.items()}
    report_spellings(genre_of)
    return genre_of


def genres_by_folder(folders: list[tuple[str, ...]]) -> list[tuple[str, str] | None]:
    """The genre and the official split of songs, by the folders that they are in.

    The outermost folder is the genre. Folders such as train, val and test (`PARTS`) are no genres but the official
    split, where they hold the genre folders and share some, or where there is one for training in each genre folder and
    another one in some. One folder around such a split is ignored.

    Args:
        folders: names of the folders of each song, outermost first; none for a song beside the genre folders.

    Returns:
        for each song the name of its genre folder and its split, empty where it has none; None outside of all genres.

    Raises:
        DataError: the folders are the parts of a split, but hold no genre folders that they share.
    """
    if split := _split_by_folder(folders):
        return split
    outer = dict.fromkeys(parts[0] for parts in folders if parts)
    if len({part_of(name) for name in outer}) > 1 and all(map(part_of, outer)):
        raise DataError(
            f"{' and '.join(map(one_line, outer))} look like the parts of a split, but share no genre folders: put "
            "one for each genre into the folder for training, and into the others."
        )
    return [(parts[0], "") if parts else None for parts in folders]


def _split_by_folder(folders: list[tuple[str, ...]], around: bool = False) -> list[tuple[str, str] | None]:
    """As `genres_by_folder`, empty where no folders are the official split.

    Args:
        around: whether there is a folder around these, which may be a genre.
    """
    inside: dict[str, set[str]] = {}  # sub-folders of the outermost ones
    for parts in folders:
        if parts:
            inside.setdefault(parts[0], set()).update(map(genre_key, parts[1:2]))
    training = [below for name, below in inside.items() if part_of(name) == "training"]
    held_out = [below for name, below in inside.items() if part_of(name) not in ("", "training")]
    shared = set().union(*training) & set().union(*held_out)
    unlabelled = not around and all(map(part_of, inside)) and any(training) and not any(held_out)
    if shared or unlabelled:  # the genres are below; of songs for training alone, a split is drawn
        return [
            (parts[1], part_of(parts[0]) if shared else "") if len(parts) > 1 and part_of(parts[0]) else None
            for parts in folders
        ]
    if len(inside) == 1 and (split := _split_by_folder([parts[1:] for parts in folders], around=True)):
        return split
    parts_of = [set(map(part_of, below)) for below in inside.values()]
    if parts_of and all("training" in found for found in parts_of) and set().union(*parts_of) - {"training", ""}:
        return [(parts[0], part_of(parts[1]) if len(parts) > 1 else "") if parts else None for parts in folders]
    return []


def _report_alike(folders: list[tuple[str, ...]]) -> None:
    """Print where the folders that are taken for genres all hold the same folders, as those of folds or years do."""
    inside: dict[str, dict[str, str]] = {}
    for parts in folders:
        if parts:
            inside.setdefault(parts[0], {}).update((genre_key(name), name) for name in parts[1:2])
    shared = set.intersection(*(set(below) for below in inside.values()))
    if len(inside) > 1 and len(shared) > 1:
        first = next(iter(inside.values()))
        names = [one_line(name) for key, name in first.items() if key in shared]
        print(
            f"  {' and '.join(map(one_line, inside))} are learned as genres, and all hold {' and '.join(names)}: "
            "if these are the genres, give the folders around them to --data"
        )


def part_of(name: str) -> str:
    """The split that a folder of this name is for; empty for any other folder."""
    words = [word for word in re.findall(r"[^\W\d_]+", name.casefold()) if word not in PART_WORDS]
    return PARTS.get(words[0].removesuffix("set"), "") if len(words) == 1 else ""


def cut_songs(songs: list[SongFile], origin: Path) -> list[AudioClip]:
    """The clips of songs; the artist of a song that names none is its name in `origin`, the folder or data set."""
    return [
        AudioClip(
            path=song.path,
            start=start,
            track_id=f"{song.name}@{start:g}",
            genre=song.genre,
            artist=song.artist or str(origin / song.name),
            split=song.split,
            song=song.name,
        )
        for song in songs
        for start in clip_starts(song.seconds)
    ]


def clip_starts(seconds: float) -> list[float]:
    """Starts of the clips of a song, in seconds: evenly spaced, the first at 0, the last ends with the song."""
    room = max(0.0, seconds - CLIP_SECONDS)
    clips = min(CLIPS_PER_SONG, int(room / CLIP_HOP_SECONDS + 0.01) + 1)
    return [round(room * i / max(1, clips - 1), 3) for i in range(clips)]


def report_shared_artists(songs: Iterable[SongFile]) -> None:
    """Print which artists have songs in two parts of an official split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for song in songs:
        if song.artist and song.split:
            splits[song.artist].add(song.split)
    if shared := sorted(one_line(artist) for artist, found in splits.items() if len(found) > 1):
        more = " ..." if len(shared) > NAMED else ""
        print(
            f"  artists with songs in two parts of this split: {len(shared)} ({', '.join(shared[:NAMED])}{more}); "
            "figures are too high"
        )
