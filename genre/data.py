"""Training data: log-mel arrays of tracks with their genre and split.

A data folder holds `index.csv` and an array a front end, whose rows follow the index:

    index.csv           track_id, genre, split (training, validation or test), note (may be empty); further columns
                        `has_mel`, `has_mfcc` and `has_vggish`, where present, say which arrays hold a row ("True")
    logmel_30s.npy      *sparse* and *whole*, (tracks, 128, 128) uint8: dB = -80 + (v + 0.5) * 0.625
    mfcc_first3s.npy    *smooth*, (tracks, 20, 130) int16: coefficient = v / 4, of the first window only
    logmel_dense.npy    *dense*, (tracks, 128, 1292) uint8: dB = -80 + (v + 0.5) * 0.625
    vggish.npy          optional, (tracks, 128) float16: VGGish embedding, a teacher while training

`genre.archive` writes the same layout from audio files.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genre.errors import DataError
from genre.frontend import FRONT_ENDS, LogMel, LogMelConfig, window_starts

UNSOUND_NOTES = ("clip is", "near-silent", "mel image is blank")  # how the notes of unusable rows begin
DUPLICATE_NOTE = "same audio as "
TEACHER_FILE = "vggish.npy"


@dataclass(frozen=True)
class ArrayFormat:
    """How one front end's features are stored: value = stored * step + offset."""

    file: str
    dtype: str
    step: float
    offset: float
    columns: int

    def restore(self, stored: np.ndarray) -> Tensor:
        return torch.from_numpy(stored.astype(np.float32) * np.float32(self.step) + np.float32(self.offset))

    def store(self, values: Tensor) -> np.ndarray:
        """Quantised features, cut to `columns`, or repeated where a clip is shorter than that."""
        info = np.iinfo(self.dtype)
        highest = 127 if self.dtype == "uint8" else info.max
        stored = np.round((values.numpy() - self.offset) / self.step).clip(max(info.min, -highest), highest)
        missing = max(0, self.columns - stored.shape[1])
        return np.pad(stored[:, : self.columns], ((0, 0), (0, missing)), mode="wrap").astype(self.dtype)


FORMATS = {
    "sparse": ArrayFormat("logmel_30s.npy", "uint8", 0.625, -79.6875, 128),
    "smooth": ArrayFormat("mfcc_first3s.npy", "int16", 0.25, 0.0, 130),
    "dense": ArrayFormat("logmel_dense.npy", "uint8", 0.625, -79.6875, 1292),
}
FORMATS["whole"] = FORMATS["sparse"]


def front_end_name(config: LogMelConfig) -> str:
    """Which front end these settings are.

    Raises:
        DataError: none that arrays are kept of.
    """
    for name, known in FRONT_ENDS.items():
        if known == config:
            return name
    raise DataError("This checkpoint's front end is none that data can be prepared for here.")


def stored_as(front_end: str) -> str:
    """The front end under whose name an archive keeps the array: *whole* reads that of *sparse*."""
    return next(name for name, form in FORMATS.items() if form.file == FORMATS[front_end].file)


@dataclass(frozen=True)
class Index:
    """The sound rows of an index.csv; every array of the folder is read by `rows`."""

    folder: Path
    ids: list[str]
    rows: np.ndarray  # (tracks,) int, positions in the arrays
    labels: np.ndarray  # (tracks,) int, positions in `genres`
    splits: np.ndarray  # (tracks,) str
    genres: list[str]
    dropped: list[str]  # track ids left out

    def of(self, split: str) -> np.ndarray:
        """Positions of a split's tracks in this index."""
        return np.flatnonzero(self.splits == split)


class Windows:
    """3-second windows of the tracks of one split, as one front end sees them.

    Attributes:
        labels: genre of each track, shape (tracks,) int64.
        teacher: standardised embedding of each track, shape (tracks, size) float32, or None.
    """

    def __init__(self, index: Index, split: str, front_end: str):
        self.config = FRONT_ENDS[front_end]
        self.format = FORMATS[front_end]
        self.log_mel = LogMel(self.config)
        chosen = index.of(split)
        self.rows = index.rows[chosen]
        self.labels = torch.from_numpy(index.labels[chosen])
        path = index.folder / self.format.file
        if not path.is_file():
            raise DataError(f"{index.folder} has no {self.format.file}, which the {front_end} front end needs.")
        self.array = np.load(path, mmap_mode="r")
        self.teacher = _teacher(index, chosen)
        seconds = self.array.shape[2] * self.config.frames_per_column / self.config.frames_per_second
        starts = window_starts(seconds, self.config.window_seconds, self.config.window_seconds)
        columns = np.round(np.array(starts) * self.config.frames_per_second / self.config.frames_per_column)
        self.starts = np.unique(columns.astype(int).clip(0, self.last_start))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last_start(self) -> int:
        return self.array.shape[2] - self.config.columns

    def random(self, tracks: np.ndarray, generator: np.random.Generator) -> Tensor:
        """One window of each track, anywhere in it, in dB, shape (tracks, bands, columns)."""
        starts = generator.integers(0, self.last_start, size=len(tracks), endpoint=True)
        return self._read(self.rows[tracks], starts)

    def all(self, tracks: np.ndarray) -> Tensor:
        """The windows that cover each track, in dB, shape (tracks, windows, bands, columns)."""
        windows = [self._read(self.rows[tracks], np.full(len(tracks), start)) for start in self.starts]
        return torch.stack(windows, dim=1)

    def _read(self, rows: np.ndarray, starts: np.ndarray) -> Tensor:
        stored = np.stack([self.array[r, :, s : s + self.config.columns] for r, s in zip(rows, starts, strict=True)])
        return self.log_mel.to_bands(self.format.restore(stored))

    def statistics(self, tracks: int = 512) -> tuple[float, float]:
        """Mean and standard deviation in dB over evenly chosen tracks, for normalisation."""
        chosen = np.linspace(0, len(self) - 1, min(tracks, len(self))).astype(int)
        values = self.all(chosen)
        return values.mean().item(), values.std().item()


def read_index(folder: Path) -> Index:
    """Read a data folder's index.csv, leaving out rows that the notes call unusable or whose labels contradict.

    Raises:
        DataError: there is no index, or it lacks a column.
    """
    path = Path(folder) / "index.csv"
    if not path.is_file():
        raise DataError(f"{folder} is no data folder: it has no index.csv.")
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for column in ("track_id", "genre", "split"):
        if not lines or column not in lines[0]:
            raise DataError(f"{path} has no column {column!r}, or no rows.")
    genre_of = {line["track_id"]: line["genre"] for line in lines}
    sound = [_is_sound(line, genre_of) for line in lines]
    kept = [line for line, good in zip(lines, sound, strict=True) if good]
    genres = sorted({line["genre"] for line in kept})
    return Index(
        folder=Path(folder),
        ids=[line["track_id"] for line in kept],
        rows=np.flatnonzero(sound),
        labels=np.array([genres.index(line["genre"]) for line in kept], dtype=np.int64),
        splits=np.array([line["split"] for line in kept]),
        genres=genres,
        dropped=[line["track_id"] for line, good in zip(lines, sound, strict=True) if not good],
    )


def _is_sound(line: dict, genre_of: dict) -> bool:
    note = line.get("note") or ""
    if note.startswith(UNSOUND_NOTES) or "False" in (line.get("has_mel"), line.get("has_mfcc")):
        return False
    twin = note.removeprefix(DUPLICATE_NOTE) if note.startswith(DUPLICATE_NOTE) else line["track_id"]
    return genre_of.get(twin, line["genre"]) == line["genre"]


def _teacher(index: Index, chosen: np.ndarray) -> Tensor | None:
    """Embeddings of the chosen tracks, standardised over the training split; None where the folder has none."""
    path = index.folder / TEACHER_FILE
    if not path.is_file():
        return None
    embeddings = np.load(path, mmap_mode="r")[index.rows].astype(np.float32)
    training = embeddings[index.of("training")]
    standard = (embeddings[chosen] - training.mean(axis=0)) / (training.std(axis=0) + 1e-6)
    return torch.from_numpy(standard)
