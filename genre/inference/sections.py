"""Sections: where a recording changes its genre for long enough to be worth saying."""

from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np

from genre.inference.classify import Prediction, Window

MIN_SECONDS = 12.0  # a shorter change is a blip
SWITCH_COST = (
    8.0  # nats a change must earn: from the joins of two songs that are found, and whole songs that stay whole
)
MIN_PROBABILITY = 0.02  # no window may speak louder than this against a genre
SILENCE_NAME = "silence"
EVIDENCE_SECONDS = 3.0  # sound that counts as one opinion, however many overlapping windows share it


@dataclass(frozen=True)
class Section:
    """A stretch of one genre, or of silence (genre None); times in seconds."""

    start: float
    end: float
    genre: str | None

    @property
    def name(self) -> str:
        """The genre, or "silence"."""
        return self.genre or SILENCE_NAME


def sections(prediction: Prediction) -> list[Section]:
    """Split a recording where its genre changes; together they cover it from 0 to the end, and neighbours differ.

    The split is the one that explains the windows best: the sum of log-probabilities of each section's genre, less a
    cost for every change, over all splits into sections of `MIN_SECONDS` at least. Dynamic programming finds it
    exactly ("optimal partitioning", Jackson et al., 2005). A recording that does not change is one section, and
    bears the genre of the recording's own verdict. Silent windows have no say in it; where they last `MIN_SECONDS`,
    they are cut out as a section of silence, and what they part may bear the same genre on both sides.
    """
    edges = _edges(prediction.windows, prediction.seconds)
    genres = list(prediction.probabilities)
    pieces = _best_split(edges, _evidence(prediction.windows, genres) * (np.diff(edges) / EVIDENCE_SECONDS)[:, None])
    found = [Section(float(edges[first]), float(edges[last]), genres[genre]) for first, last, genre in pieces]
    if len(found) == 1:
        found = [Section(0.0, prediction.seconds, prediction.genre)]
    return _without(found, _silences(prediction.windows, edges))


def _evidence(windows: list[Window], genres: list[str]) -> np.ndarray:
    """Log-probabilities, shape (windows, genres); the same for every genre where a window is silent."""
    opinions = [[1.0] * len(genres) if one.silent else [one.probabilities[g] for g in genres] for one in windows]
    return np.log(np.array(opinions).clip(MIN_PROBABILITY))


def _silences(windows: list[Window], edges: np.ndarray) -> list[Section]:
    """Runs of silent windows that last `MIN_SECONDS` at least."""
    runs = groupby(range(len(windows)), lambda number: windows[number].silent)
    spans = [(edges[run[0]], edges[run[-1] + 1]) for is_silent, of in runs if is_silent for run in [list(of)]]
    return [Section(float(start), float(end), None) for start, end in spans if end - start >= MIN_SECONDS]


def _without(found: list[Section], silences: list[Section]) -> list[Section]:
    """Sections with silences in place of what lies under them."""
    for silence in silences:
        before = [replace(s, end=min(s.end, silence.start)) for s in found if s.start < silence.start]
        after = [replace(s, start=max(s.start, silence.end)) for s in found if s.end > silence.end]
        found = [*before, silence, *after]
    return found


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


def clock(seconds: float) -> str:
    """1:05, or 1:01:05 past the hour."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
