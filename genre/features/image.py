"""The spectrogram that people look at: mel bands in dB, as a picture."""

import base64
import io
import math

import numpy as np
from PIL import Image

from genre.features.clips import Clip
from genre.features.log_mel import MIN_POWER, MelPower

FRAME_SECONDS = 0.093  # long enough to part neighbouring notes, short enough to show a beat
HOPS_PER_FRAME = 4
BANDS = 128
HIGHEST_HZ = 11025
RANGE_DB = 70  # shown below the loudest cell
MAX_COLUMNS = 1600  # wider pictures are averaged down to about this
# Dark to light over purple and orange: lightness rises steadily, so it reads without colour too.
COLOURS = ["#0b0a1e", "#2a1152", "#5b1a76", "#8f2a7c", "#c43c6e", "#ee6350", "#fb9d4b", "#fdd57a", "#fdf6d3"]


class Spectrogram:
    """Grows clip by clip while a recording is heard.

    Args:
        rate: sample rate of the clips, in Hz.
    """

    def __init__(self, rate: int):
        self.rate = rate
        self.highest_hz = min(HIGHEST_HZ, rate / 2)
        n_fft = 2 ** round(math.log2(FRAME_SECONDS * rate))  # other lengths take several times as long
        self.mel = MelPower(rate, n_fft, n_fft // HOPS_PER_FRAME, BANDS, self.highest_hz)
        self.seconds = 0.0
        self._columns: list[np.ndarray] = []  # dB as float16, (bands, frames) a clip

    def add(self, clip: Clip) -> None:
        """Append what a clip holds beyond the sound that was added before."""
        first = round((self.seconds - clip.start) * self.rate)
        last = round((clip.end - clip.start) * self.rate)
        power = self.mel(clip.waveform[max(0, first) : last])
        self._columns.append((10 * power.clamp(min=MIN_POWER).log10()).numpy().astype(np.float16))
        self.seconds = clip.end

    def image(self) -> Image.Image:
        """Time runs right, pitch runs up."""
        decibels = np.concatenate(self._columns, axis=1).astype(np.float32)
        step = -(-decibels.shape[1] // MAX_COLUMNS)
        if step > 1:
            usable = decibels.shape[1] // step * step
            decibels = decibels[:, :usable].reshape(BANDS, -1, step).mean(axis=2)
        shade = np.clip(1 + (decibels - decibels.max()) / RANGE_DB, 0, 1)
        return Image.fromarray(_palette()[(shade[::-1] * 255).astype(np.uint8)])

    def data_uri(self) -> str:
        return data_uri(self.picture())


def data_uri(picture: Image.Image) -> str:
    """A picture as an address that holds it."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def mel_position(hz: float, highest_hz: float) -> float:
    """Where a frequency lies on the picture's axis, 0 at the bottom to 1 at `highest_hz`."""
    return _mel(hz) / _mel(highest_hz)


def _mel(hz: float) -> float:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _palette() -> np.ndarray:
    """256 RGB colours, shape (256, 3) uint8."""
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS])
    at = np.linspace(0, len(anchors) - 1, 256)
    return np.stack([np.interp(at, range(len(anchors)), channel) for channel in anchors.T], axis=1).astype(np.uint8)
