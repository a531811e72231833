"""Mix channels to mono and scale integer samples in float files.

Both are decided once a file, on a survey of all of it, since its first seconds may be silent or unlike the rest.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from genre.audio.silence import SILENCE

FULL_SCALE_LIMIT = 8.0  # float files may exceed 1.0 a little; samples beyond this limit are damaged and are clipped
STRETCH_BLOCKS = 10  # blocks that are buffered for one decision
SAMPLE_EVERY = 31  # stride of the samples that decide: about 7,000 of a stretch; a prime, against periodic signals
# Energy of the sum of the channels divided by the sum of their energies: 1 for uncorrelated channels, 2 for two equal
# ones, 0 where they cancel, and r of two channels becomes 2 - r where one of them is turned over.
CANCELLED = 0.1  # of a stretch; for two channels of the same level it is a correlation of -0.9
# Of a file. In 476 songs it is 0.59 or more, in all but 3 of them 1.09 or more, in 87 % above 2 - OPPOSITE.
OPPOSITE = 0.45
SURVEY_BELOW = 0.7  # of a stretch, from which the file is surveyed
SURVEY_QUANTILE = 0.95  # of the samples of a block and of the blocks of a survey, which damaged samples do not reach
CREST = 3.0  # peaks of music relative to that level
SCALES = (2.0**15, 2.0**23, 2.0**31)  # of 16, 24 and 32-bit numbers
MAX_FLOAT_LEVEL = 512.0  # up to which samples that are no whole numbers are recordings with gain (+54 dB)


def mixed(
    blocks: Iterable[np.ndarray],
    notes: list[str],
    survey: Callable[[], list[np.ndarray]],
    survey_first: Callable[[], bool] = lambda: False,
) -> Iterator[np.ndarray]:
    """Mean of the channels (FFmpeg's own downmix is 3 dB louder), without NaN, infinity and samples beyond
    `FULL_SCALE_LIMIT`.

    Where one channel is of opposite polarity in the file, and from the first stretch where the channels cancel each
    other, the one with the most energy replaces their mean. Where the samples of the file lie far beyond full scale,
    all are divided by the smallest of `SCALES` that holds them, or by their level if they are no whole numbers.

    Args:
        blocks: float32, shape (samples, channels); `STRETCH_BLOCKS` of them are buffered.
        notes: takes a sentence for each of the two.
        survey: returns short blocks from all over the file, shape (samples, channels) each. It is called at most once,
            where a stretch gives reason to.
        survey_first: whether to call it at the first stretch, as float files need, whose silence may be of any level.

    Yields:
        mono blocks, float32, shape (samples,).
    """
    scale, opposite, surveyed = 1.0, dict[int, int](), False
    for channels, alike in itertools.groupby(blocks, lambda block: block.shape[1]):
        mean = weights = np.full(channels, 1 / channels, np.float32)
        while stretch := list(itertools.islice(alike, STRETCH_BLOCKS)):
            with np.errstate(all="ignore"):
                sample = np.concatenate([block[::SAMPLE_EVERY] for block in stretch])
                if not surveyed and (survey_first() or _odd(sample)):
                    surveyed, found = True, [np.nan_to_num(block, posinf=0.0, neginf=0.0) for block in survey()]
                    scale, opposite = _scale(found), _opposite(found)
                    if scale > 1:
                        _note(notes, f"The samples lie far beyond full scale, so they were divided by {scale:,.0f}.")
                if weights is mean and (channels in opposite or _ratio(sample) < CANCELLED):
                    loudest = opposite.get(channels, int(np.square(sample).sum(axis=0).argmax()))
                    weights = np.eye(channels, dtype=np.float32)[loudest]
                    _note(notes, "The channels cancel each other, so one of them was used.")
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


def _note(notes: list[str], sentence: str) -> None:
    if sentence not in notes:
        notes.append(sentence)
