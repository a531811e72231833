"""Log-mel windows of tracks, read from stored arrays: of one source and split, or of multiple sources in a mixture.

`FORMATS` says how the features of each front end are stored in the arrays of a data folder (`genre.data.dataset`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from genre.audio.audio import window_starts
from genre.data.dataset import DataSet, Source
from genre.errors import DataError
from genre.features.log_mel import FRONT_ENDS, LogMel, LogMelConfig
from genre.models.model import MIN_PROBABILITY

STATISTICS_TRACKS = 512  # of a source
MIN_STEPS = 30  # of an epoch; with few tracks, an epoch is more than one pass over them


@dataclass(frozen=True)
class ArrayFormat:
    """Storage of one front end's features of a clip as integers: value = stored * step + offset.

    Attributes:
        file: name of the array of whole clips, shape (tracks, bands or coefficients, columns).
        first_window_file: name of an array that holds the first window of each clip only; None where there is none.
        dtype, step, offset: of the stored integers.
        columns: of a whole clip.
    """

    file: str
    dtype: str
    step: float
    offset: float
    columns: int
    first_window_file: str | None = None

    @property
    def augmented_file(self) -> str:
        """Name of the array of augmented copies, shape (tracks, copies, bands or coefficients, columns)."""
        return self.file.replace(".npy", "_augmented.npy")

    def restore(self, stored: np.ndarray) -> Tensor:
        """Stored integers to features, float32 of the same shape."""
        return torch.from_numpy(stored.astype(np.float32) * np.float32(self.step) + np.float32(self.offset))

    def store(self, values: Tensor) -> np.ndarray:
        """Quantise features (rows, columns of the clip) and cut them, or repeat those of short clips, to `columns`."""
        info = np.iinfo(self.dtype)
        highest = 127 if self.dtype == "uint8" else info.max
        stored = np.round((values.numpy() - self.offset) / self.step).clip(max(info.min, -highest), highest)
        missing = max(0, self.columns - stored.shape[1])
        return np.pad(stored[:, : self.columns], ((0, 0), (0, missing)), mode="wrap").astype(self.dtype)


FORMATS = {
    "sparse": ArrayFormat("logmel_30s.npy", "uint8", 0.625, -79.6875, 128),
    "smooth": ArrayFormat("mfcc_30s.npy", "int16", 0.25, 0.0, 1290, "mfcc_first3s.npy"),
    "dense": ArrayFormat("logmel_dense.npy", "uint8", 0.625, -79.6875, 1292),
}
FORMATS["whole"] = FORMATS["sparse"]


MUSICNN_FILE = "musicnn.npy"
TEACHER_FILES = ("vggish.npy", MUSICNN_FILE)  # outputs of networks that know music, for distillation
STORED = 1  # of a clip or copy, in the files with the state of an archive, see `genre.data.archive`


def done_file(front_end: str) -> str:
    """Name of the file with the state of each clip of an archive."""
    return f"{stored_as(front_end)}.done.npy"


def augmented_done_file(front_end: str) -> str:
    """Name of the file with the state of each augmented copy."""
    return f"{stored_as(front_end)}_augmented.done.npy"


def taught_file(teacher: str) -> str:
    """Name of the file with the state of each clip's teacher output, by the name of the array."""
    return teacher.replace(".npy", ".done.npy")


def front_end_name(config: LogMelConfig) -> str:
    """Name of the front end with these settings.

    Raises:
        DataError: there is none in `FRONT_ENDS`.
    """
    for name, known in FRONT_ENDS.items():
        if known == config:
            return name
    raise DataError("Data cannot be prepared for this checkpoint: its front end has other settings.")


def stored_as(front_end: str) -> str:
    """The front end under whose name an archive stores the array: *whole* reads that of *sparse*."""
    return next(name for name, form in FORMATS.items() if form.file == FORMATS[front_end].file)


class Windows:
    """Windows of the tracks of one split of a source, by one front end.

    Attributes:
        labels: genre of each track, shape (tracks,) int64; -1 where it is not known.
        songs: of the split, in order.
        song_of: number of each track's song, shape (tracks,) int.
        teachers: for training, the output of each teacher by its file for evenly spaced windows of each track, shape
            (tracks, windows, size) float32, NaN for tracks without it.

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
        self.songs, self.song_of = source.songs_of(split)
        self.files = source, split, front_end
        self._open()
        self.teachers = _teachers(source.folder, self.rows) if split == "training" else {}
        seconds = self.array.shape[2] * self.config.frames_per_column / self.config.frames_per_second
        starts = window_starts(seconds, self.config.window_seconds, self.config.window_seconds)
        columns = np.round(np.array(starts) * self.config.frames_per_second / self.config.frames_per_column)
        self.starts = np.unique(columns.astype(int).clip(0, self.last_start))

    def _open(self) -> None:
        source, split, front_end = self.files
        self.array = np.load(_array_file(source.folder, self.format, front_end), mmap_mode="r")
        self.augmented = _augmented(source, front_end) if split == "training" else None

    def __getstate__(self) -> dict:
        """For another process, which opens the arrays itself: pickle would copy all of them."""
        return {name: value for name, value in vars(self).items() if name not in ("array", "augmented")}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last_start(self) -> int:
        return self.array.shape[2] - self.config.columns

    def by_song(self, log_probabilities: Tensor) -> Tensor:
        """Mean probability over the tracks of each song: logarithms (tracks, labels) to (songs, labels)."""
        return mean_by_song(log_probabilities.exp(), self.song_of).clamp(min=MIN_PROBABILITY).log()

    @property
    def song_labels(self) -> Tensor:
        """Genre of each song, shape (songs,) int64."""
        return self.labels[first_of_song(self.song_of)]

    def random_starts(self, tracks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Random positions of windows in tracks, in columns, shape (batch,) int."""
        return generator.integers(0, self.last_start, size=len(tracks), endpoint=True)

    def random(self, tracks: np.ndarray, starts: np.ndarray, generator: np.random.Generator) -> Tensor:
        """One window of each track, of the track itself or of a random one of its augmented copies.

        Args:
            tracks: positions, shape (batch,).
            starts: of the windows, in columns, shape (batch,).

        Returns:
            dB, shape (batch, bands, columns).
        """
        if self.augmented is None:
            return self._read(self.rows[tracks], starts)
        copies, stored = self.augmented
        drawn = generator.integers(-1, copies.shape[1] - 1, size=len(tracks), endpoint=True)
        clips = [
            copies[row, copy] if copy >= 0 and stored[row, copy] else self.array[row]
            for row, copy in zip(self.rows[tracks], drawn, strict=True)
        ]
        return self._cut(clips, starts)

    def taught(self, teacher: str, tracks: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """A teacher's output for windows at `starts`, interpolated linearly between its own, shape (batch, size).

        A window as long as the track gets the mean.
        """
        output = self.teachers[teacher][tracks]
        last = output.shape[1] - 1
        if not self.last_start or not last:
            return output.mean(axis=1)
        place = (starts + self.config.columns / 2) / self.array.shape[2] * (last + 1) - 0.5
        low = np.clip(place, 0, last - 1e-6).astype(int)
        share = np.clip(place - low, 0, 1)[:, None].astype(np.float32)
        batch = np.arange(len(tracks))
        return output[batch, low] * (1 - share) + output[batch, low + 1] * share

    def all(self, tracks: np.ndarray) -> Tensor:
        """The windows that cover each track in order, in dB, shape (tracks, windows, bands, columns)."""
        windows = [self._read(self.rows[tracks], np.full(len(tracks), start)) for start in self.starts]
        return torch.stack(windows, dim=1)

    def _read(self, rows: np.ndarray, starts: np.ndarray) -> Tensor:
        return self._cut([self.array[row] for row in rows], starts)

    def _cut(self, clips: list[np.ndarray], starts: np.ndarray) -> Tensor:
        stored = np.stack([c[:, s : s + self.config.columns] for c, s in zip(clips, starts, strict=True)])
        return self.log_mel.to_bands(self.format.restore(stored))


class Draw(NamedTuple):
    """What is read for a step: these tracks, shape (batch,), by random numbers of this seed."""

    tracks: np.ndarray
    seed: tuple[int, ...]


class Batch(NamedTuple):
    """The input of a step.

    Attributes:
        tracks: shape (batch,) int64.
        windows: in dB, shape (batch, bands, columns).
        taught: the teachers' standardised outputs, shape (batch, sum of their sizes), NaN where a track has none.
        partners: position in the batch of the window that each is mixed with, shape (batch,) int64.
    """

    tracks: Tensor
    windows: Tensor
    taught: Tensor
    partners: Tensor


class Mixture(Dataset[Batch]):
    """Training windows of multiple sources, each with its share of every batch.

    Tracks are numbered consecutively, source after source. A song counts once, however many clips of it are tracks.
    As a `Dataset` for a `DataLoader` without its own batches, it reads the batch of a `Draw`.

    Attributes:
        labels: genre of each track, shape (tracks,) int64; -1 where it is not known.
        teachers: sizes of the teachers' outputs, by their files.
        groups: a number of each track that is the same for tracks with the same teachers, shape (tracks,) int.
    """

    def __init__(self, data: DataSet, front_end: str):
        used = data.with_split("training")
        self.sources = [Windows(source, "training", front_end) for source, _ in used]
        self.shares = np.array([share for _, share in used])
        self.first = np.cumsum([0, *(len(windows) for windows in self.sources)])
        self.labels = torch.cat([windows.labels for windows in self.sources])
        self.teachers = self._standardise_teachers()
        self.groups = np.concatenate([self._group(windows) for windows in self.sources])

    def __len__(self) -> int:
        return int(self.first[-1])

    def __getitem__(self, draw: Draw) -> Batch:
        generator = np.random.default_rng(draw.seed)
        windows, taught = self.random(draw.tracks, generator)
        partners = shuffle_within(self.groups[draw.tracks], generator)
        return Batch(torch.from_numpy(draw.tracks), windows, taught, torch.from_numpy(partners))

    def steps(self, batch_size: int, windows_per_track: int) -> int:
        """Batches of an epoch, in which each song of the largest source occurs `windows_per_track` times."""
        songs = [len(windows.songs) for windows in self.sources]
        largest = int(np.argmax(songs))
        return max(MIN_STEPS, int(songs[largest] * windows_per_track / self.shares[largest]) // batch_size)

    def batches(self, steps: int, batch_size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """The tracks of each batch, shape (batch_size,): songs without replacement, and a random track of each."""
        wanted = self.shares[:, None] * batch_size * np.arange(steps + 1)
        counts = np.diff(np.floor(wanted).astype(int), axis=1)  # (sources, steps)
        largest = self.shares.argmax()
        counts[largest] += batch_size - counts.sum(axis=0)
        draws = [
            _draw(w.song_of, int(total), generator) + first
            for w, total, first in zip(self.sources, counts.sum(axis=1), self.first[:-1], strict=True)
        ]
        position = np.zeros(len(draws), int)
        for step in range(steps):
            number = counts[:, step]
            yield np.concatenate([d[p : p + n] for d, p, n in zip(draws, position, number, strict=True)])
            position += number

    def random(self, tracks: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One window of each track at a random position, in dB, and the teachers' standardised outputs for it.

        Args:
            tracks: of any source, shape (batch,).

        Returns:
            shapes (batch, bands, columns) and (batch, sum of the teachers' sizes), NaN for a teacher that the track
            does not have.
        """
        source_of = np.searchsorted(self.first, tracks, side="right") - 1
        windows: dict[int, Tensor] = {}
        taught = np.full((len(tracks), sum(self.teachers.values())), np.nan, dtype=np.float32)
        ends = dict(zip(self.teachers, np.cumsum(list(self.teachers.values())).tolist(), strict=True))
        for number, source in enumerate(self.sources):
            places = np.flatnonzero(source_of == number)
            if len(places):
                own = tracks[places] - self.first[number]
                starts = source.random_starts(own, generator)
                windows |= zip(places.tolist(), source.random(own, starts, generator), strict=True)
                for name in source.teachers:
                    taught[places, ends[name] - self.teachers[name] : ends[name]] = source.taught(name, own, starts)
        return torch.stack([windows[place] for place in range(len(tracks))]), torch.from_numpy(taught)

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation in dB over evenly spaced tracks of every source, weighted by shares."""
        mean = square = 0.0
        for windows, share in zip(self.sources, self.shares, strict=True):
            chosen = np.linspace(0, len(windows) - 1, min(STATISTICS_TRACKS, len(windows))).astype(int)
            values = windows.all(chosen).double()
            mean += share * values.mean().item()
            square += share * values.square().mean().item()
        return mean, (square - mean**2) ** 0.5

    def _standardise_teachers(self) -> dict[str, int]:
        """Standardise every teacher's outputs over all sources; returns their sizes."""
        sizes = {}
        for name in TEACHER_FILES:
            outputs = [windows.teachers[name] for windows in self.sources if name in windows.teachers]
            if not outputs:
                continue
            sizes[name] = outputs[0].shape[2]
            rows = np.concatenate([output.reshape(-1, sizes[name]) for output in outputs])
            mean, std = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0) + 1e-6
            for output in outputs:
                output -= mean
                output /= std
        return sizes

    def _group(self, windows: Windows) -> np.ndarray:
        groups = np.zeros(len(windows), dtype=int)
        for number, name in enumerate(self.teachers):
            if name in windows.teachers:
                groups += np.isfinite(windows.teachers[name][:, 0, 0]) * 2**number
        return groups


class Draws(Sampler[Draw]):
    """What is read for the steps of an epoch; of several processes each gets its part of every batch.

    Random numbers depend on the seed, the epoch, the step and the process alone, whatever reads the batches.

    Args:
        mixture: the tracks.
        batch_size: of all processes together.
        steps: of an epoch.
        seed: of the training.
        process, processes: number of this process, from 0 on, and of all.
    """

    epoch = 0  # to be set before each epoch

    def __init__(self, mixture: Mixture, batch_size: int, steps: int, seed: int, process: int = 0, processes: int = 1):
        self.mixture, self.batch_size, self.steps, self.seed = mixture, batch_size, steps, seed
        self.process, self.processes = process, processes

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Draw]:
        generator = np.random.default_rng((self.seed, self.epoch))
        for step, tracks in enumerate(self.mixture.batches(self.steps, self.batch_size, generator)):
            yield Draw(tracks[self.process :: self.processes], (self.seed, self.epoch, step, self.process))


def shuffle_within(groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A random partner for each member of a batch, shape (batch,), of its own group, to mix it with."""
    order = np.argsort(groups, kind="stable")
    partners = np.empty_like(order)
    partners[order] = np.lexsort((generator.permutation(len(groups)), groups))
    return partners


def first_of_song(song_of: np.ndarray) -> np.ndarray:
    """The first track of each song, shape (songs,) int."""
    return np.unique(song_of, return_index=True)[1]


def mean_by_song(values: Tensor, song_of: np.ndarray) -> Tensor:
    """Mean over the tracks of each song: shape (tracks, ...) to (songs, ...)."""
    song = torch.from_numpy(song_of).to(values.device)
    counts = song.bincount().view(-1, *[1] * (values.dim() - 1))
    return values.new_zeros(len(counts), *values.shape[1:]).index_add_(0, song, values) / counts


def _draw(song_of: np.ndarray, total: int, generator: np.random.Generator) -> np.ndarray:
    """At least `total` tracks: all songs in random order as often as needed, and a random track of each."""
    by_song, counts = np.argsort(song_of, kind="stable"), np.bincount(song_of)
    rounds = max(1, -(-total // len(counts)))
    songs = np.concatenate([generator.permutation(len(counts)) for _ in range(rounds)])
    first = np.cumsum(counts) - counts
    return by_song[first[songs] + generator.integers(0, counts[songs])]


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


def _teachers(folder: Path, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of the teachers that a folder has, see `Windows`."""
    teachers = {}
    for name in TEACHER_FILES:
        path, done = folder / name, folder / taught_file(name)
        if path.is_file():
            output = np.load(path, mmap_mode="r")[rows].astype(np.float32)
            teachers[name] = output if output.ndim == 3 else output[:, None]
            if done.is_file():
                teachers[name][np.load(done)[rows] != STORED] = np.nan
    return teachers
