"""Storage formats of features in the arrays of a data folder, see `genre.data.dataset`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genre.errors import DataError
from genre.features.log_mel import FRONT_ENDS, LogMelConfig


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
