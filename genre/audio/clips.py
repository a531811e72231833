"""Cut a stream of samples into clips of 30 s like those of training."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genre.errors import AudioError

CLIP_SECONDS = 30.0  # the levels of a clip's windows are relative to its loudest cell, as in FMA-small's 30 s tracks
TAIL_SECONDS = 0.1  # a remainder up to this length, such as an encoder's padding, gets no window


@dataclass(frozen=True)
class Clip:
    """At most 30 s of a recording and the windows in it that are classified together.

    Attributes:
        waveform: mono, shape (samples,), repeated to fill at least one window.
        start: of the waveform in the recording, in seconds.
        window_starts: in the recording, in seconds.
        end: where in the recording the audio ends that was read when this clip was cut, in seconds.
    """

    waveform: Tensor
    start: float
    window_starts: list[float]
    end: float


def windows_per_clip(window_seconds: float, hop_seconds: float) -> int:
    """Windows in a clip of `CLIP_SECONDS`; the next clip starts as many hops later."""
    return int((CLIP_SECONDS - window_seconds) / hop_seconds + 1e-6) + 1


def window_starts(seconds: float, window_seconds: float, hop_seconds: float) -> list[float]:
    """Starts of the windows that cover a recording, in seconds: every hop, and one more that ends with the recording.

    A remainder of up to `TAIL_SECONDS` is not covered. A recording shorter than a window has one window, at 0.
    """
    last = max(0.0, seconds - window_seconds)
    starts = [i * hop_seconds for i in range(int(last / hop_seconds + 1e-6) + 1)]
    if last - starts[-1] > TAIL_SECONDS:
        starts.append(last)
    return starts


def cut_clips(
    pieces: Iterable[np.ndarray], rate: int, window_seconds: float, hop_seconds: float, start: float = 0.0
) -> Iterator[Clip]:
    """Cut a stream of samples into clips like those of training.

    A clip is 30 s long, and the levels of its windows are relative to its loudest cell. The last clip ends with the
    recording and overlaps the one before, so that it is 30 s long too. Every window lies in its clip, and together they
    cover all but a remainder of `TAIL_SECONDS`. All pieces have been taken when the last clip is yielded.

    Args:
        pieces: mono, float32, shape (samples,) each.
        rate: sample rate, in Hz.
        window_seconds, hop_seconds: length of a window, and distance of the starts of two, in seconds.
        start: of the first sample in the recording, in seconds, to which all times of the clips are relative.

    Raises:
        AudioError: the stream holds no samples.
    """
    clip_samples = round(CLIP_SECONDS * rate)
    per_clip = windows_per_clip(window_seconds, hop_seconds)
    buffer, origin, next_start = np.zeros(0, np.float32), 0, 0.0  # its first sample, start of the next window (s)
    ahead = round(TAIL_SECONDS * rate) + 1  # samples after a clip that make another one certain
    for piece in itertools.chain(pieces, [None]):
        if piece is None:
            ahead = 0
        else:
            buffer = np.concatenate([buffer, piece])
        while origin + len(buffer) >= (first := round(next_start * rate)) + clip_samples + ahead:
            starts = [start + next_start + i * hop_seconds for i in range(per_clip)]
            waveform = torch.from_numpy(buffer[first - origin : first - origin + clip_samples])
            yield Clip(waveform, start + next_start, starts, start + next_start + CLIP_SECONDS)
            next_start += per_clip * hop_seconds
            spent = max(0, round(next_start * rate) - clip_samples - origin)
            buffer, origin = buffer[spent:], origin + spent
    total = (origin + len(buffer)) / rate
    if total == 0:
        raise AudioError("This recording holds no sound.")
    starts = _remaining_starts(total, next_start, window_seconds, hop_seconds)
    if starts:
        waveform = torch.from_numpy(buffer[-clip_samples:])
        waveform_start = start + total - len(waveform) / rate
        starts = [start + at for at in starts]
        yield Clip(_repeat(waveform, round(window_seconds * rate)), waveform_start, starts, start + total)


def _repeat(waveform: Tensor, samples: int) -> Tensor:
    """Repeat a waveform to at least so many samples; silence as padding does not occur in training."""
    times = -(-samples // len(waveform))
    return waveform if times <= 1 else waveform.repeat(times)[:samples]


def _remaining_starts(total: float, next_start: float, window_seconds: float, hop_seconds: float) -> list[float]:
    """Starts of windows from `next_start` to the end of a recording, in seconds; the last one ends with it."""
    if next_start == 0 or total - next_start >= window_seconds:
        return [next_start + at for at in window_starts(total - next_start, window_seconds, hop_seconds)]
    covered = next_start - hop_seconds + window_seconds
    return [total - window_seconds] if total - covered > TAIL_SECONDS else []
