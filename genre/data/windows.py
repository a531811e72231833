"""Log-mel windows of tracks, read from stored arrays: of one source and split, or of multiple sources in a mixture."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genre.data.dataset import DataSet, Source
from genre.data.formats import FORMATS, STORED, ArrayFormat, augmented_done_file
from genre.errors import DataError
from genre.features.log_mel import FRONT_ENDS, LogMel, window_starts

TEACHER_FILE = "vggish.npy"
STATISTICS_TRACKS = 512  # of a source
MIN_STEPS = 30  # of an epoch; with few tracks, an epoch is more than one pass over them


class Windows:
    """Windows of the tracks of one split of a source, by one front end.

    Attributes:
        labels: genre of each track, shape (tracks,) int64.
        teacher: standardised embedding of each track, shape (tracks, size) float32, or None.

    Raises:
        DataError: the source has no array for the front end.
    """

    def __init__(self, source: Source, split: str, front_end: str):
        self.config = FRONT_ENDS[front_end]
        self.format = FORMATS[front_end]
        self.log_mel = LogMel(self.config)
        chosen = source.of(split)
        self.rows = source.rows[chosen]
        self.labels = torch.from_numpy(source.labels[chosen])
        self.array = np.load(_array_file(source.folder, self.format, front_end), mmap_mode="r")
        self.augmented = _augmented(source, front_end) if split == "training" else None
        self.teacher = _teacher(source, chosen)
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
        """One window of each track, at a random position of it or of one of its augmented copies.

        Args:
            tracks: positions, shape (batch,).

        Returns:
            dB, shape (batch, bands, columns).
        """
        starts = generator.integers(0, self.last_start, size=len(tracks), endpoint=True)
        if self.augmented is None:
            return self._read(self.rows[tracks], starts)
        copies, stored = self.augmented
        drawn = generator.integers(-1, copies.shape[1] - 1, size=len(tracks), endpoint=True)
        clips = [
            copies[row, copy] if copy >= 0 and stored[row, copy] else self.array[row]
            for row, copy in zip(self.rows[tracks], drawn, strict=True)
        ]
        return self._cut(clips, starts)

    def all(self, tracks: np.ndarray) -> Tensor:
        """The windows that cover each track in order, in dB, shape (tracks, windows, bands, columns)."""
        windows = [self._read(self.rows[tracks], np.full(len(tracks), start)) for start in self.starts]
        return torch.stack(windows, dim=1)

    def _read(self, rows: np.ndarray, starts: np.ndarray) -> Tensor:
        return self._cut([self.array[row] for row in rows], starts)

    def _cut(self, clips: list[np.ndarray], starts: np.ndarray) -> Tensor:
        stored = np.stack([c[:, s : s + self.config.columns] for c, s in zip(clips, starts, strict=True)])
        return self.log_mel.to_bands(self.format.restore(stored))


class Mixture:
    """Training windows of multiple sources, each with its share of every batch.

    Tracks are numbered consecutively, source after source.

    Attributes:
        labels: genre of each track, shape (tracks,) int64.
        teacher: standardised embeddings, shape (tracks, size) float32, NaN for the tracks of sources that have none;
            None where no source has any.
    """

    def __init__(self, data: DataSet, front_end: str):
        used = data.with_split("training")
        self.sources = [Windows(source, "training", front_end) for source, _ in used]
        self.shares = np.array([share for _, share in used])
        self.first = np.cumsum([0, *(len(windows) for windows in self.sources)])
        self.labels = torch.cat([windows.labels for windows in self.sources])
        self.teacher = self._teachers()

    def __len__(self) -> int:
        return int(self.first[-1])

    def steps(self, batch_size: int, windows_per_track: int) -> int:
        """Batches of an epoch, in which the tracks of every source occur about `windows_per_track` times."""
        lengths = [len(w) * windows_per_track / share for w, share in zip(self.sources, self.shares, strict=True)]
        return max(MIN_STEPS, int(max(lengths)) // batch_size)

    def batches(self, steps: int, batch_size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """The tracks of each batch, shape (batch_size,); those of a source are drawn without replacement."""
        wanted = self.shares[:, None] * batch_size * np.arange(steps + 1)
        counts = np.diff(np.floor(wanted).astype(int), axis=1)  # (sources, steps)
        largest = self.shares.argmax()
        counts[largest] += batch_size - counts.sum(axis=0)
        draws = [
            np.concatenate([generator.permutation(len(w)) for _ in range(-(-int(total) // len(w)) or 1)]) + first
            for w, total, first in zip(self.sources, counts.sum(axis=1), self.first[:-1], strict=True)
        ]
        position = np.zeros(len(draws), int)
        for step in range(steps):
            number = counts[:, step]
            yield np.concatenate([d[p : p + n] for d, p, n in zip(draws, position, number, strict=True)])
            position += number

    def random(self, tracks: np.ndarray, generator: np.random.Generator) -> Tensor:
        """As `Windows.random`, for tracks of all sources."""
        source_of = np.searchsorted(self.first, tracks, side="right") - 1
        windows: dict[int, Tensor] = {}
        for number, source in enumerate(self.sources):
            places = np.flatnonzero(source_of == number)
            if len(places):
                drawn = source.random(tracks[places] - self.first[number], generator)
                windows |= zip(places.tolist(), drawn, strict=True)
        return torch.stack([windows[place] for place in range(len(tracks))])

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation in dB over evenly spaced tracks of every source, weighted by shares."""
        mean = square = 0.0
        for windows, share in zip(self.sources, self.shares, strict=True):
            chosen = np.linspace(0, len(windows) - 1, min(STATISTICS_TRACKS, len(windows))).astype(int)
            values = windows.all(chosen).double()
            mean += share * values.mean().item()
            square += share * values.square().mean().item()
        return mean, (square - mean**2) ** 0.5

    def _teachers(self) -> Tensor | None:
        size = next((w.teacher.shape[1] for w in self.sources if w.teacher is not None), 0)
        if not size:
            return None
        missing = float("nan")
        return torch.cat(
            [torch.full((len(w), size), missing) if w.teacher is None else w.teacher for w in self.sources]
        )


def _array_file(folder: Path, form: ArrayFormat, front_end: str) -> Path:
    for name in (form.file, form.first_window_file):
        if name and (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} has no {form.file}, which the {front_end} front end needs.")


def _augmented(source: Source, front_end: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The array of augmented copies, and which of them are stored, shape (rows, copies) bool; None without any."""
    array = source.folder / FORMATS[front_end].augmented_file
    done = source.folder / augmented_done_file(front_end)
    if not (source.augmented_copies and array.is_file() and done.is_file()):
        return None
    used = slice(0, source.augmented_copies)
    return np.load(array, mmap_mode="r")[:, used], np.load(done)[:, used] == STORED


def _teacher(source: Source, chosen: np.ndarray) -> Tensor | None:
    """Embeddings of the chosen tracks, standardised over the training split; None where the folder has none."""
    path = source.folder / TEACHER_FILE
    if not path.is_file():
        return None
    embeddings = np.load(path, mmap_mode="r")[source.rows].astype(np.float32)
    training = embeddings[source.of("training")]
    standard = (embeddings[chosen] - training.mean(axis=0)) / (training.std(axis=0) + 1e-6)
    return torch.from_numpy(standard)
