"""Sound that arrives in pieces, cut into clips of 30 s like those of training."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genre.errors import AudioError
from genre.features.log_mel import CLIP_SECONDS, TAIL_SECONDS, window_starts

MIN_LEVEL = 0.1  # root mean square of a clip, -20 dB of full scale; most masters are louder


@dataclass(frozen=True)
class Clip:
    """At most 30 s of a recording and the windows in it that are judged together; a long one is a row of clips.

    Attributes:
        waveform: mono, shape (samples,), padded by repetition to one window at least.
        start: of the waveform in the recording, in seconds.
        window_starts: in the recording, in seconds.
        end: how much of the recording has been read when this clip is handed over, in seconds.
    """

    waveform: Tensor
    start: float
    window_starts: list[float]
    end: float

    @property
    def raised(self) -> Tensor:
        """The waveform as members hear it: not below `MIN_LEVEL`, since they know masters and visitors have phones."""
        level = self.waveform.square().mean().sqrt()
        return self.waveform * (MIN_LEVEL / level).clamp(min=1) if level > 0 else self.waveform


def cut_clips(pieces: Iterable[np.ndarray], rate: int, window_seconds: float, hop_seconds: float) -> Iterator[Clip]:
    """Cut sound that arrives in pieces into clips like those of training.

    A clip is 30 s long and its windows are judged against its own loudest moment. The last one ends with the
    recording and reaches back over the one before, so that it has its 30 s too. Every window lies in its clip, and
    together they cover all but a remainder of `TAIL_SECONDS`.
    """
    clip_samples = round(CLIP_SECONDS * rate)
    windows_per_clip = int((CLIP_SECONDS - window_seconds) / hop_seconds + 1e-6) + 1
    held, origin, next_start = np.zeros(0, np.float32), 0, 0.0  # samples at hand, where they begin, next window (s)
    for piece in pieces:
        held = np.concatenate([held, piece])
        while origin + len(held) >= (first := round(next_start * rate)) + clip_samples:
            starts = [next_start + i * hop_seconds for i in range(windows_per_clip)]
            waveform = torch.from_numpy(held[first - origin : first - origin + clip_samples])
            yield Clip(waveform, next_start, starts, next_start + CLIP_SECONDS)
            next_start += windows_per_clip * hop_seconds
            spent = max(0, round(next_start * rate) - clip_samples - origin)
            held, origin = held[spent:], origin + spent
    total = (origin + len(held)) / rate
    if total == 0:
        raise AudioError("This recording holds no sound.")
    starts = _remaining_starts(total, next_start, window_seconds, hop_seconds)
    if starts:
        waveform = torch.from_numpy(held[-clip_samples:])
        start = total - len(waveform) / rate
        yield Clip(_repeat(waveform, round(window_seconds * rate)), start, starts, total)


def _repeat(waveform: Tensor, samples: int) -> Tensor:
    """A waveform of at least so many samples: repeated rather than padded with silence, which training never saw."""
    times = -(-samples // len(waveform))
    return waveform if times <= 1 else waveform.repeat(times)[:samples]


def _remaining_starts(total: float, next_start: float, window_seconds: float, hop_seconds: float) -> list[float]:
    """Where windows start, from `next_start` to the end of a recording, in seconds; the last one ends with it."""
    if next_start == 0 or total - next_start >= window_seconds:
        return [next_start + at for at in window_starts(total - next_start, window_seconds, hop_seconds)]
    covered = next_start - hop_seconds + window_seconds
    return [total - window_seconds] if total - covered > TAIL_SECONDS else []
