"""Sections: where a recording changes its genre for long enough to be worth saying."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genre.classify import Prediction, Window

MIN_SECONDS = 12.0  # a shorter change is a blip
SWITCH_COST = (
    8.0  # nats a change must earn: from the joins of two songs that are found, and whole songs that stay whole
)
MIN_PROBABILITY = 0.02  # no window may speak louder than this against a genre
EVIDENCE_SECONDS = 3.0  # sound that counts as one opinion, however many overlapping windows share it


@dataclass(frozen=True)
class Section:
    """A stretch of one genre; times in seconds."""

    start: float
    end: float
    genre: str


def sections(prediction: Prediction) -> list[Section]:
    """Split a recording where its genre changes; neighbours differ and together they cover it from 0 to the end.

    The split is the one that explains the windows best: the sum of log-probabilities of each section's genre, less a
    cost for every change, over all splits into sections of `MIN_SECONDS` at least. Dynamic programming finds it
    exactly ("optimal partitioning", Jackson et al., 2005). A recording that does not change is one section, and
    bears the genre of the recording's own verdict.
    """
    edges = _edges(prediction.windows, prediction.seconds)
    genres = list(prediction.probabilities)
    opinions = np.array([[window.probabilities[genre] for genre in genres] for window in prediction.windows])
    evidence = np.log(opinions.clip(MIN_PROBABILITY)) * (np.diff(edges) / EVIDENCE_SECONDS)[:, None]
    pieces = _best_split(edges, evidence)
    if len(pieces) == 1:
        return [Section(0.0, prediction.seconds, prediction.genre)]
    return [Section(float(edges[first]), float(edges[last]), genres[genre]) for first, last, genre in pieces]


def _edges(windows: list[Window], seconds: float) -> np.ndarray:
    """Where one window's turn ends and the next one's begins, in seconds, shape (windows + 1,).

    Overlapping neighbours part in the middle of what they share, so that no sound counts twice.
    """
    inner = [(one.end + following.start) / 2 for one, following in pairwise(windows)]
    return np.array([0.0, *inner, seconds])


def _best_split(edges: np.ndarray, evidence: np.ndarray) -> list[tuple[int, int, int]]:
    """The best sections as (first edge, last edge, genre), in order of time.

    Args:
        edges: in seconds, shape (windows + 1,).
        evidence: log-probabilities, shape (windows, genres).
    """
    total = np.concatenate([np.zeros((1, evidence.shape[1])), evidence.cumsum(axis=0)])
    best = np.full(len(edges), -np.inf)  # of everything up to an edge
    best[0] = SWITCH_COST  # the first section is no change
    cut: dict[int, tuple[int, int]] = {}  # edge -> where its section begins, and the genre
    shortest = min(MIN_SECONDS, edges[-1]) - 1e-6
    for last in range(1, len(edges)):
        firsts = np.flatnonzero(edges[last] - edges >= shortest)
        if len(firsts) == 0:
            continue
        scores = best[firsts, None] - SWITCH_COST + total[last] - total[firsts]
        first, genre = np.unravel_index(scores.argmax(), scores.shape)
        best[last], cut[last] = scores[first, genre], (int(first), int(genre))
    pieces, last = [], len(edges) - 1
    while last > 0:
        first, genre = cut[last]
        pieces.append((first, last, genre))
        last = first
    return pieces[::-1]
