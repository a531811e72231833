"""Sections of a recording: change points of its genre, and long silences."""

from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from genre.inference.prediction import Window

MIN_SECONDS = 12.0  # length of a section, also of a silent one
SWITCH_COST = 8.0  # nats; finds where two songs were joined, and leaves single songs in one section
MIN_PROBABILITY = 0.02  # lower bound, so that no single window rules out a genre
SILENCE_NAME = "silence"
EVIDENCE_SECONDS = 3.0  # of audio have the weight of one window, however many overlapping windows cover them


@dataclass(frozen=True)
class Section:
    """An interval of one genre, or of silence (genre None); times in seconds."""

    start: float
    end: float
    genre: str | None

    @property
    def name(self) -> str:
        """The genre, or "silence"."""
        return self.genre or SILENCE_NAME


def find_sections(windows: list["Window"], genres: list[str], seconds: float) -> list[Section]:
    """Split a recording where its genre changes.

    The split maximises the sum of the windows' log-probabilities of their section's genre, minus `SWITCH_COST` for
    every change, over all splits into sections of at least `MIN_SECONDS`. Dynamic programming finds the optimum
    ("optimal partitioning", Jackson et al., 2005). A recording without a change is one section of the genre predicted
    for the recording. Silent windows do not contribute; where they last `MIN_SECONDS`, they become a section of
    silence, and the sections on both sides of it may have the same genre.

    Args:
        windows: in order of time.
        genres: most probable first.
        seconds: duration of the recording.

    Returns:
        the sections in order of time; they cover the recording from 0 to its end, and neighbours differ.
    """
    edges = window_edges(windows, seconds)
    weights = np.diff(edges) / EVIDENCE_SECONDS
    pieces = _best_split(edges, _log_probabilities(windows, genres) * weights[:, None])
    found = [Section(float(edges[first]), float(edges[last]), genres[genre]) for first, last, genre in pieces]
    if len(found) == 1:
        found = [Section(0.0, seconds, genres[0])]
    return _replace_silence(found, _silences(windows, edges))


def _log_probabilities(windows: list["Window"], genres: list[str]) -> np.ndarray:
    """Log-probabilities, shape (windows, genres); 0 for every genre where a window is silent."""
    probabilities = [[1.0] * len(genres) if one.silent else [one.probabilities[g] for g in genres] for one in windows]
    return np.log(np.array(probabilities).clip(MIN_PROBABILITY))


def _silences(windows: list["Window"], edges: np.ndarray) -> list[Section]:
    """Runs of silent windows that last at least `MIN_SECONDS`."""
    runs = groupby(range(len(windows)), lambda number: windows[number].silent)
    spans = [(edges[run[0]], edges[run[-1] + 1]) for is_silent, of in runs if is_silent for run in [list(of)]]
    return [Section(float(start), float(end), None) for start, end in spans if end - start >= MIN_SECONDS]


def _replace_silence(found: list[Section], silences: list[Section]) -> list[Section]:
    """Cut the silences out of the sections and insert them there."""
    for silence in silences:
        before = [replace(s, end=min(s.end, silence.start)) for s in found if s.start < silence.start]
        after = [replace(s, start=max(s.start, silence.end)) for s in found if s.end > silence.end]
        found = [*before, silence, *after]
    return found


def window_edges(windows: list["Window"], seconds: float) -> np.ndarray:
    """Boundaries between windows, in seconds, shape (windows + 1,).

    Overlapping neighbours are separated in the middle of their overlap, so that no audio counts twice.
    """
    inner = [(one.end + following.start) / 2 for one, following in pairwise(windows)]
    return np.array([0.0, *inner, seconds])


def _best_split(edges: np.ndarray, log_probabilities: np.ndarray) -> list[tuple[int, int, int]]:
    """The best sections as (first edge, last edge, genre), in order of time.

    Args:
        edges: in seconds, shape (windows + 1,).
        log_probabilities: weighted by duration, shape (windows, genres).
    """
    total = np.concatenate([np.zeros((1, log_probabilities.shape[1])), log_probabilities.cumsum(axis=0)])
    best = np.full(len(edges), -np.inf)  # score of the best split up to an edge
    best[0] = SWITCH_COST  # the first section costs nothing
    cut: dict[int, tuple[int, int]] = {}  # last edge of a section -> its first edge, its genre
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
    """Format a time, rounded to seconds (half up), as 1:05, or as 1:01:05 from an hour on."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
