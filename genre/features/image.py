"""The spectrogram for display: mel bands in dB as an image."""

import base64
import io
import math

import numpy as np
import torch
from PIL import Image

from genre.audio.audio import Clip
from genre.features.log_mel import MIN_POWER, MelPower

FRAME_SECONDS = 0.093  # resolves neighbouring notes and beats
HOPS_PER_FRAME = 4
BANDS = 128
HIGHEST_HZ = 11025
RANGE_DB = 70  # shown below the loudest cell
MAX_COLUMNS = 1600  # wider images are averaged down to about this
# Dark to light over purple and orange; lightness is monotonic, so that it is readable without colour too.
COLOURS = ["#0b0a1e", "#2a1152", "#5b1a76", "#8f2a7c", "#c43c6e", "#ee6350", "#fb9d4b", "#fdd57a", "#fdf6d3"]


class Spectrogram:
    """A spectrogram that is extended clip by clip while a recording is classified.

    Args:
        rate: sample rate of the clips, in Hz.
    """

    def __init__(self, rate: int):
        self.rate = rate
        self.highest_hz = min(HIGHEST_HZ, rate / 2)
        n_fft = 2 ** round(math.log2(FRAME_SECONDS * rate))  # other lengths are slower by a multiple
        self.mel = MelPower(rate, n_fft, n_fft // HOPS_PER_FRAME, BANDS, self.highest_hz)
        self._end: float | None = None
        self._columns: list[np.ndarray] = []  # dB as float16, (bands, frames) a clip

    def add(self, clip: Clip) -> None:
        """Append the columns of a clip after the end of the one that was added before."""
        first = 0 if self._end is None else round((self._end - clip.start) * self.rate)
        last = round((clip.end - clip.start) * self.rate)
        power = self.mel(torch.from_numpy(clip.waveform[max(0, first) : last]))
        self._columns.append((10 * power.clamp(min=MIN_POWER).log10()).numpy().astype(np.float16))
        self._end = clip.end

    def image(self) -> Image.Image:
        """An RGB image, time from left to right, frequency from bottom to top."""
        decibels = np.concatenate(self._columns, axis=1).astype(np.float32)
        averaged = -(-decibels.shape[1] // MAX_COLUMNS)  # columns to one
        if averaged > 1:
            usable = decibels.shape[1] // averaged * averaged
            decibels = decibels[:, :usable].reshape(BANDS, -1, averaged).mean(axis=2)
        shade = np.clip(1 + (decibels - decibels.max()) / RANGE_DB, 0, 1)
        return Image.fromarray(_palette()[(shade[::-1] * 255).astype(np.uint8)])


def data_uri(image: Image.Image) -> str:
    """A WebP image as a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def mel_position(hz: float, highest_hz: float) -> float:
    """Position of a frequency on the image's axis, from 0 at the bottom to 1 at `highest_hz`."""
    return _mel(hz) / _mel(highest_hz)


def _mel(hz: float) -> float:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _palette() -> np.ndarray:
    """256 RGB colours, shape (256, 3) uint8."""
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS])
    at = np.linspace(0, len(anchors) - 1, 256)
    return np.stack([np.interp(at, range(len(anchors)), channel) for channel in anchors.T], axis=1).astype(np.uint8)
