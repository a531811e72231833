"""Levels: mixing channels to mono, integer samples in float files, and silence. Without torch, for decoding processes.

Mixing and scaling are decided once a file, on a survey of all of it, since its first seconds may be silent or unlike
the rest. Silent windows do not count in a prediction; levels are root mean squares around the mean, so that a constant
(DC) offset is silent too.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

# Mixing
FULL_SCALE_LIMIT = 8.0  # float files may exceed 1.0 a little; samples beyond this limit are damaged and are clipped
STRETCH_BLOCKS = 10  # blocks that are buffered for one decision
SAMPLE_EVERY = 31  # stride of the samples that decide: about 7,000 of a stretch; a prime, against periodic signals
# Energy of the sum of the channels divided by the sum of their energies: 1 for uncorrelated channels, 2 for two equal
# ones, 0 where they cancel, and r of two channels becomes 2 - r where one of them is turned over.
CANCELLED = 0.1  # of a stretch; for two channels of the same level it is a correlation of -0.9
# Of a file. Nearly all songs are above 1, and most are above 2 - OPPOSITE, so that one channel turned over is noticed.
OPPOSITE = 0.45
SURVEY_BELOW = 0.7  # of a stretch, from which the file is surveyed
SURVEY_QUANTILE = 0.95  # of the samples of a block and of the blocks of a survey, which damaged samples do not reach
CREST = 3.0  # peaks of music relative to that level
SCALES = (2.0**15, 2.0**23, 2.0**31)  # of 16, 24 and 32-bit numbers
MAX_FLOAT_LEVEL = 512.0  # up to which samples that are no whole numbers are recordings with gain (+54 dB)

CANCEL = "The channels cancel each other, so one of them was used."
SCALED = "The samples lie far beyond full scale, so they were divided by {:,.0f}."

# Silence
SILENCE = 1e-4  # of full scale, -80 dB: above 16-bit dither (-96 dB), below songs at -50 dB and their pauses
# dB below the loudest window of the recording, between music and the noise of a recorder in pauses: in 12 whole songs
# only what follows the end of a fade-out is lower, everything else is within 38 dB.
NOISE_DB = 45.0
BLOCK_SECONDS = 0.1  # of the search for the ends
END_SECONDS = 3.0  # of silence from which it is left out: a window


class Source(Protocol):
    """Where blocks come from.

    Attributes:
        notes: takes a sentence for each change that the user should know of.
        any_level: whether the samples can be of any level, as floats can.
    """

    notes: list[str]
    any_level: bool

    def survey(self) -> list[np.ndarray]:
        """Short blocks from all over the source, float32, shape (samples, channels) each."""


def mixed(blocks: Iterable[np.ndarray], source: Source) -> Iterator[np.ndarray]:
    """Mean of the channels (FFmpeg's own downmix is 3 dB louder), without NaN, infinity and samples beyond
    `FULL_SCALE_LIMIT`.

    Where one channel is of opposite polarity in the file, and from the first stretch where the channels cancel each
    other, the one with the most energy replaces their mean. Where the samples of the file lie far beyond full scale,
    all are divided by the smallest of `SCALES` that holds them, or by their level if they are no whole numbers.

    Args:
        blocks: float32, shape (samples, channels); `STRETCH_BLOCKS` of them are buffered.
        source: of the blocks. It is surveyed at most once: where a stretch gives reason to, and at the first one if the
            samples can be of any level, since there what seems to be silence may be music.

    Yields:
        mono blocks, float32, shape (samples,).
    """
    scale, opposite, surveyed = 1.0, dict[int, int](), False
    for channels, alike in itertools.groupby(blocks, lambda block: block.shape[1]):
        mean = weights = np.full(channels, 1 / channels, np.float32)
        while stretch := list(itertools.islice(alike, STRETCH_BLOCKS)):
            with np.errstate(all="ignore"):
                sample = np.concatenate([block[::SAMPLE_EVERY] for block in stretch])
                if not surveyed and (source.any_level or _odd(sample)):
                    surveyed, found = True, [np.nan_to_num(block, posinf=0.0, neginf=0.0) for block in source.survey()]
                    scale, opposite = _scale(found), _opposite(found)
                    if scale > 1:
                        source.notes.append(SCALED.format(scale))
                if weights is mean and (channels in opposite or _ratio(sample) < CANCELLED):
                    loudest = opposite.get(channels, int(np.square(sample).sum(axis=0).argmax()))
                    weights = np.eye(channels, dtype=np.float32)[loudest]
                    if CANCEL not in source.notes:  # it may be there for another number of channels
                        source.notes.append(CANCEL)
                mono = [_limited(block @ (weights / np.float32(scale))) for block in stretch]
            yield from mono  # outside of errstate, which would hold for the caller as well


def _odd(sample: np.ndarray) -> bool:
    """Whether samples, shape (samples, channels), give reason to a survey of the file."""
    return not np.abs(sample).max(initial=0.0) <= FULL_SCALE_LIMIT or _ratio(sample) < SURVEY_BELOW


def _ratio(sample: np.ndarray) -> float:
    """Energy of the sum of channels, shape (samples, channels), to the sum of theirs; 1 where all are silent."""
    products = sample.T @ sample / max(1, len(sample))
    energies = products.diagonal()
    return float(products.sum() / energies.sum()) if energies.max() > SILENCE**2 else 1.0


def _opposite(survey: list[np.ndarray]) -> dict[int, int]:
    """The channel with the most energy by the number of channels, where one of them is of opposite polarity."""
    by_channels = {block.shape[1]: [one for one in survey if one.shape[1] == block.shape[1]] for block in survey}
    joined = {channels: np.concatenate(found) for channels, found in by_channels.items()}
    return {n: int(np.square(one).sum(axis=0).argmax()) for n, one in joined.items() if _ratio(one) < OPPOSITE}


def _scale(survey: list[np.ndarray]) -> float:
    """Divisor of the samples of a file; 1 where they do not lie far beyond full scale."""
    by_size = [np.sort(np.abs(block), axis=None) for block in survey]
    levels = [sizes[int(SURVEY_QUANTILE * len(sizes))] for sizes in by_size if sizes[-1] > SILENCE]
    level = float(np.quantile(levels, SURVEY_QUANTILE)) if levels else 0.0
    if CREST * level <= FULL_SCALE_LIMIT:
        return 1.0
    sizes = np.concatenate(by_size)
    if np.mean(sizes == np.round(sizes)) > SURVEY_QUANTILE or level > MAX_FLOAT_LEVEL:
        return next((one for one in SCALES if one >= level), level)
    return CREST * level


def _limited(mono: np.ndarray) -> np.ndarray:
    if np.abs(mono).max(initial=0.0) <= FULL_SCALE_LIMIT:  # false for NaN
        return mono
    return np.nan_to_num(mono, posinf=0.0, neginf=0.0).clip(-FULL_SCALE_LIMIT, FULL_SCALE_LIMIT)


def rms(samples: np.ndarray) -> float:
    """Root mean square around the mean of samples, shape (samples,), as a fraction of full scale."""
    varying = samples - samples.mean()
    return float(np.sqrt(varying @ varying / len(varying)))


def silent(windows: np.ndarray, loudest: float | None = None) -> np.ndarray:
    """Which windows of a recording are silent, bool of shape (windows,).

    Args:
        windows: their RMS, shape (windows,).
        loudest: RMS of the loudest one; by default the maximum of these.
    """
    if loudest is None:
        loudest = windows.max(initial=0.0)
    return windows < max(SILENCE, loudest * 10 ** (-NOISE_DB / 20))


def audible_span(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Start and end of samples, shape (samples,), without silence at the ends, in seconds.

    Less than `END_SECONDS` of silence at both ends together, and silence alone, are not left out.
    """
    size, seconds = round(BLOCK_SECONDS * rate), len(samples) / rate
    blocks = samples[: len(samples) // size * size].reshape(-1, size).std(axis=1)
    in_window = min(len(blocks), round(END_SECONDS / BLOCK_SECONDS))
    if not in_window:
        return 0.0, seconds
    loudest = np.sqrt(np.convolve(blocks**2, np.full(in_window, 1 / in_window), "valid").max())  # window
    audible = np.flatnonzero(~silent(blocks, loudest))
    if not len(audible):
        return 0.0, seconds
    start, end = audible[0] * BLOCK_SECONDS, (audible[-1] + 1) * BLOCK_SECONDS
    if audible[-1] == len(blocks) - 1:  # with a last block that is shorter
        end = seconds
    return (start, end) if start + seconds - end >= END_SECONDS else (0.0, seconds)
