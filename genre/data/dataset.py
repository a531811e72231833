"""Training data: one or more sources of tracks with their genre and split.

A source is a folder with `index.csv` and an array for each front end, whose rows are in the order of the index:

    index.csv           track_id, genre (empty where it is not known); optional: song, which the rows that are clips
                        of one song share; artist; split (training, validation or test; where it is missing or empty,
                        artists are split at random); note; `has_mel` and `has_mfcc`, "False" where the arrays have no
                        such row
    logmel_30s.npy      *sparse* and *whole*, (tracks, 128, 128) uint8: dB = -80 + (v + 0.5) * 0.625
    mfcc_30s.npy        *smooth*, (tracks, 20, 1290) int16: coefficient = v / 4
    mfcc_first3s.npy    the same of the first window only, (tracks, 20, 130), read where there is no mfcc_30s.npy
    logmel_dense.npy    *dense*, (tracks, 128, 1292) uint8: dB = -80 + (v + 0.5) * 0.625
    *_augmented.npy     optional: copies of training tracks, augmented as waveforms, (tracks, copies, bands, columns)
    vggish.npy          optional, (tracks, 128) float16: VGGish embeddings of all usable tracks, for distillation
    musicnn.npy         optional, (tracks, 10, 250) float16: output of MusiCNN for ten windows of each track, for
                        distillation, see `genre.data.musicnn`; musicnn.done.npy, (tracks,) uint8: 1 where there is one

`genre.data.archive` writes the same layout from audio files.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genre.errors import DataError
from genre.files import genre_key, one_spelling, renamed, report_spellings

SPLITS = ("training", "validation", "test")
SEED = 0  # of the draw, which otherwise depends on the names alone
UNSOUND_NOTES = ("clip is", "near-silent", "mel image is blank")  # how the notes of unusable rows begin
DUPLICATE_NOTE = "same audio as "
SHARE_POWER = 0.5  # by default; a small source has a larger share than by its size


@dataclass(frozen=True)
class HeldOut:
    """Fractions of a genre's tracks for validation and test, by whole artists, at least one artist each."""

    validation: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Source:
    """The usable rows of one index.csv; every array of the folder is read by `rows`."""

    name: str
    folder: Path
    ids: list[str]
    rows: np.ndarray  # (tracks,) int, positions in the arrays
    labels: np.ndarray  # (tracks,) int, positions in the data set's genres; -1 where the genre is not known
    splits: np.ndarray  # (tracks,) str
    songs: list[str]  # song of each track: the clips of one song are multiple tracks
    artists: list[str]  # of each track
    dropped: list[str]  # track ids left out
    augmented_copies: int = 0  # of each training track that are used, of those that are stored

    def of(self, split: str) -> np.ndarray:
        """Positions of a split's tracks in this source, shape (tracks,) int."""
        return np.flatnonzero(self.splits == split)

    def songs_of(self, split: str) -> tuple[list[str], np.ndarray]:
        """The songs of a split in order, and the number of each of its tracks' song among them, shape (tracks,) int."""
        numbers: dict[str, int] = {}
        of_track = [numbers.setdefault(self.songs[track], len(numbers)) for track in self.of(split)]
        return list(numbers), np.array(of_track, dtype=int)


@dataclass(frozen=True)
class DataSet:
    """Sources with one list of genres; `shares` are their weights in validation and in training batches, in all 1."""

    genres: list[str]
    sources: list[Source]
    shares: list[float]

    @property
    def digest(self) -> str:
        """A hash of the tracks with their genres and splits."""
        tracks = [(one.name, one.ids, one.labels.tolist(), one.splits.tolist()) for one in self.sources]
        return hashlib.sha256(repr((self.genres, tracks)).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def shared_artists(self) -> list[str]:
        """Artists with tracks in two splits, as an official split may have them."""
        splits_of: dict[str, set[str]] = defaultdict(set)
        for source in self.sources:
            for artist, split in zip(source.artists, source.splits.tolist(), strict=True):
                splits_of[artist].add(split)
        return sorted(artist for artist, splits in splits_of.items() if len(splits) > 1)

    def with_split(self, split: str) -> list[tuple[Source, float]]:
        """The sources with tracks of a split and a share, and their shares, in all 1."""
        used = [(s, share) for s, share in zip(self.sources, self.shares, strict=True) if len(s.of(split)) and share]
        total = sum(share for _, share in used)
        return [(source, share / total) for source, share in used]

    def weighted(self, shares: list[float] | None) -> "DataSet":
        """The same sources, the first of them with these shares and the others with none; as it is without shares."""
        if not shares:
            return self
        rest = [0.0] * (len(self.sources) - len(shares))
        return replace(self, shares=[share / sum(shares) for share in [*shares, *rest]])

    def shared_by_power(self, power: float) -> "DataSet":
        """The same sources, with shares proportional to their numbers of training tracks to this power."""
        sizes = [len(source.songs_of("training")[0]) ** power for source in self.sources]
        return replace(self, shares=[size / sum(sizes) for size in sizes])


def read_data(
    folders: dict[str, Path],
    *,
    shares: list[float] | None = None,
    counts_as: dict[str, str] | None = None,
    held_out: Sequence[HeldOut] = (HeldOut(),),
) -> DataSet:
    """Read sources and assign splits to their tracks.

    No artist is in two splits over all sources, unless an official split has them so (`DataSet.shared_artists`).

    Rows that are unusable by their notes, or are duplicates with different labels, are left out, and so are those
    without a genre whose artist is held out. Genres that differ in case or Unicode form alone are one.

    Args:
        folders: of the sources, by name.
        shares: of the sources, in their order; by default by `SHARE_POWER`.
        counts_as: genres that are renamed, such as {"Classical": "Instrumental"}.
        held_out: fractions of the tracks of each genre, for sources without a split of their own: one for all sources,
            or one for each of the first ones.

    Raises:
        DataError: there is no index, it lacks a column, there are fewer than two genres, or a genre has no track for
            training or validation.
    """
    tables = {name: _read_table(folder, counts_as or {}) for name, folder in folders.items()}
    report_unused(counts_as or {}, {row["named"] for rows in tables.values() for row in rows})
    genre_of = one_spelling(row["genre"] for rows in tables.values() for row in rows)
    report_spellings(genre_of)
    for row in (row for rows in tables.values() for row in rows):
        row["genre"] = genre_of[row["genre"]]
    genres = sorted({row["genre"] for rows in tables.values() for row in rows if row["genre"]})
    if len(genres) < 2:
        raise DataError(f"Training needs at least two genres; here is {', '.join(genres) or 'none'}.")
    split_of: dict[str, str] = {}
    # Official splits come first, and songs without a genre, whose artists are not drawn, last.
    order = sorted(tables, key=lambda n: [not any(row[c] for row in tables[n]) for c in ("split", "genre")])
    fractions = dict(zip(tables, [*held_out, *[held_out[-1]] * (len(tables) - len(held_out))], strict=True))
    sources = {name: _source(name, folders[name], tables[name], genres, fractions[name], split_of) for name in order}
    ordered = [sources[name] for name in folders]
    _check_splits(genres, ordered)
    if shares is None:
        return DataSet(genres, ordered, []).shared_by_power(SHARE_POWER)
    return DataSet(genres, ordered, [share / sum(shares) for share in shares])


def report_unused(counts_as: dict[str, str], genres: Iterable[str]) -> None:
    """Print which renamed genres there are none of."""
    known = set(map(genre_key, genres))
    for name, other in counts_as.items():
        if genre_key(name) not in known:
            print(f"No genre is named {name}, so {name}={other} changes nothing")


def _read_table(folder: Path, counts_as: dict[str, str]) -> list[dict]:
    """The rows of an index.csv with `usable`, and with `artist` and `split` where these columns are missing."""
    path = folder / "index.csv"
    if not path.is_file():
        raise DataError(f"{folder} is no data folder: it has no index.csv.")
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    for column in ("track_id", "genre"):
        if not rows or column not in rows[0]:
            raise DataError(f"{path} has no column {column!r}, or no rows.")
    genre_of = {row["track_id"]: genre_key(row["genre"]) for row in rows}
    return [
        row
        | {
            "usable": _is_usable(row, genre_of),
            "named": row["genre"],
            "genre": renamed(row["genre"], counts_as),
            "artist": row.get("artist") or f"{folder.name}/{row['track_id']}",
            "split": row.get("split") or "",
            "song": row.get("song") or row["track_id"],
        }
        for row in rows
    ]


def _is_usable(row: dict, genre_of: dict) -> bool:
    note = row.get("note") or ""
    if note.startswith(UNSOUND_NOTES) or "False" in (row.get("has_mel"), row.get("has_mfcc")):
        return False
    original = note.removeprefix(DUPLICATE_NOTE) if note.startswith(DUPLICATE_NOTE) else row["track_id"]
    own = genre_key(row["genre"])
    return genre_of.get(original, own) == own


def _source(name: str, folder: Path, table: list[dict], genres: list[str], held_out: HeldOut, split_of: dict) -> Source:
    rows = [row for row in table if row["usable"]]
    named, artists, official = ([row[column] for row in rows] for column in ("genre", "artist", "split"))
    splits = np.array(assign_splits(named, artists, official, held_out, split_of), dtype=str)
    labels = np.array([genres.index(genre) if genre else -1 for genre in named], dtype=np.int64)
    kept = np.flatnonzero((labels >= 0) | (splits == "training"))
    return Source(
        name=name,
        folder=folder,
        ids=[rows[i]["track_id"] for i in kept],
        rows=np.flatnonzero([row["usable"] for row in table])[kept],
        labels=labels[kept],
        splits=splits[kept],
        songs=[rows[i]["song"] for i in kept],
        artists=[artists[i] for i in kept],
        dropped=[row["track_id"] for row in table if not row["usable"]],
    )


def _check_splits(genres: list[str], sources: list[Source]) -> None:
    """Every genre needs usable tracks for training and for validation."""
    for split in ("training", "validation"):
        present = {genres[label] for source in sources for label in source.labels[source.of(split)] if label >= 0}
        if missing := [genre for genre in genres if genre not in present]:
            raise DataError(
                f"{' and '.join(missing)}: no readable song is left for {split}. Every genre needs songs of at least "
                "three artists, one each for training, validation and test."
            )


def assign_splits(
    genres: list[str], artists: list[str], official: list[str], held_out: HeldOut, split_of: dict[str, str]
) -> list[str]:
    """Assign splits to one source's tracks.

    Official splits are not changed, but where they have a test part and none for validation, that is drawn from
    training. Other artists are drawn genre by genre, until their tracks are about the held-out fractions. Artists in
    `split_of` are not drawn again.

    Args:
        genres, artists, official: of each track; an empty string in `genres` where it is not known, whose artists are
            for training unless they are in `split_of`, and in `official` where a track has no official split.
        split_of: splits of artists; those of this source are added.

    Returns:
        the split of each track.
    """
    if "test" in official and "validation" not in official:
        official = _with_validation(genres, artists, official, held_out, split_of)
    for artist, split in zip(artists, official, strict=True):
        if split:
            split_of.setdefault(artist, split)
    for genre in sorted(set(genres) - {""}):
        tracks = Counter(artist for artist, other in zip(artists, genres, strict=True) if other == genre)
        _assign_genre(tracks, split_of, held_out, np.random.default_rng(SEED))
    return [split or split_of.get(artist, "training") for split, artist in zip(official, artists, strict=True)]


def _with_validation(
    genres: list[str], artists: list[str], official: list[str], held_out: HeldOut, split_of: dict[str, str]
) -> list[str]:
    """An official split of training and test, with artists of training drawn for validation if a genre has several."""
    tracks = list(zip(genres, artists, official, strict=True))
    drawn = split_of | {artist: split for _, artist, split in tracks if split == "test"}
    for genre in sorted(set(genres)):
        counts = Counter(artist for own, artist, split in tracks if own == genre and split == "training")
        if len(counts) > 1:
            _assign_genre(counts, drawn, held_out, np.random.default_rng(SEED), ("validation",))
    moved = {artist for artist, split in drawn.items() if split == "validation"}
    return ["validation" if split == "training" and artist in moved else split for _, artist, split in tracks]


def _assign_genre(
    tracks: Counter[str],
    split_of: dict[str, str],
    held_out: HeldOut,
    random: np.random.Generator,
    splits: tuple[str, ...] = ("test", "validation"),
) -> None:
    """Assign splits to the artists of a genre, given their numbers of tracks: these, and training to the rest."""
    names = sorted(tracks)
    free = [names[i] for i in random.permutation(len(names)) if names[i] not in split_of]
    for split in splits:
        placed = [artist for artist in tracks if split_of.get(artist) == split]
        missing = getattr(held_out, split) * tracks.total() - sum(tracks[artist] for artist in placed)
        taken = []
        for artist in free:
            if tracks[artist] / 2 < missing:  # closer to the fraction with this artist than without
                taken.append(artist)
                missing -= tracks[artist]
        if not placed and not taken and free:
            taken = [min(free, key=tracks.__getitem__)]
        split_of.update(dict.fromkeys(taken, split))
        free = [artist for artist in free if artist not in taken]
    split_of.update(dict.fromkeys(free, "training"))
