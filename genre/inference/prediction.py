"""What is predicted for a recording: its windows, its sections, its headline, and all of it as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise
from typing import Literal

import numpy as np

SCHEMA = 1  # version of `Prediction.to_dict`, which docs/output.md describes

# Headlines
MOST_NAMED = 3  # genres that a headline names
CLOSE = 0.10  # the second genre is mentioned, too, if its probability is less than this below the first

# Sections
MIN_SECONDS = 12.0  # length of a section, also of a silent one
SWITCH_COST = 8.0  # nats; finds where two songs were joined, and leaves single songs in one section
MIN_PROBABILITY = 0.02  # lower bound, so that no single window rules out a genre
SILENCE_NAME = "silence"
EVIDENCE_SECONDS = 3.0  # of audio have the weight of one window, however many overlapping windows cover them


@dataclass(frozen=True)
class Window:
    """Prediction for one window.

    Attributes:
        start, end: in the recording, in seconds.
        probabilities: calibrated, by genre, most probable first; empty if the window is silent.
    """

    start: float
    end: float
    probabilities: dict[str, float]

    @property
    def silent(self) -> bool:
        return not self.probabilities

    @property
    def genre(self) -> str | None:
        """The most probable genre; None if the window is silent."""
        return next(iter(self.probabilities), None)


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


@dataclass(frozen=True)
class Headline:
    """What is said about a recording. Page, command, API and files all take their words from here.

    Attributes:
        kind: "genre" if one genre is named, "shortlist" if a few are that the recording may have, or "not music".
        genres: the genres that are named, most probable first, at most `MOST_NAMED`; none if it is not music.
        others: the further genres of the prediction set of a shortlist.
        text: "Folk", "Folk, Pop or Rock", or "Probably not music".
        detail: a line on how sure that is, such as "62% confidence".
    """

    kind: Literal["genre", "shortlist", "not music"]
    genres: tuple[str, ...]
    others: tuple[str, ...]
    text: str
    detail: str


@dataclass(frozen=True)
class Prediction:
    """Prediction for a recording. It is complete when it is made, and does not change.

    The labels form a closed set: every recording gets the nearest of the model's genres, also if its own is none of
    them.

    Attributes:
        probabilities: calibrated, by genre, most probable first; they sum to 1.
        windows: predictions for the windows in order of time; together they cover what was classified.
        seconds: duration of the audio that was classified.
        checkpoint: name of the model.
        is_music: output of the music detector; True if the checkpoint has none. If False, the genre means little.
        confident: whether the confidence reaches the threshold from which the model names a genre alone.
        prediction_set: conformal prediction set, most probable first, with about 90 % coverage of the true genre on
            validation.
        notes: sentences about the file, such as which audio track was used or how much could not be decoded.
    """

    probabilities: dict[str, float]
    windows: tuple[Window, ...]
    seconds: float
    checkpoint: str
    is_music: bool = True
    confident: bool = True
    prediction_set: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def genre(self) -> str:
        """The most probable genre."""
        return next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        """The calibrated probability of the most probable genre."""
        return self.probabilities[self.genre]

    @cached_property
    def headline(self) -> Headline:
        """What is said about the recording: that it is not music, the genre, or the few that it may have.

        A genre is named alone if the model is confident, or if no other genre is in the prediction set.
        """
        first, p = self.genre, self.confidence
        if not self.is_music:
            return Headline(
                "not music", (), (), "Probably not music", f"As music it would be nearest to {first}, {p:.0%}"
            )
        if not self.confident and len(self.prediction_set) > 1:
            named, others = self.prediction_set[:MOST_NAMED], self.prediction_set[MOST_NAMED:]
            rest = f"; {between(others)} cannot be ruled out" if others else ""
            return Headline("shortlist", named, others, between(named), f"{p:.0%} for {first}{rest}")
        second, q = (*self.probabilities.items(), ("", 0.0))[1]
        close = f", with {second} close behind" if second and p - q < CLOSE else ""
        return Headline("genre", (first,), (), first, f"{p:.0%} confidence{close}")

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The recording split where its genre changes, see `find_sections`."""
        return find_sections(self.windows, list(self.probabilities), self.seconds)

    def to_dict(self) -> dict:
        """Plain values for JSON, as docs/output.md describes them.

        Probabilities are rounded to 4 decimals and times to 3 (ms).
        """
        return {
            "schema": SCHEMA,
            "headline": {
                "kind": self.headline.kind,
                "genres": list(self.headline.genres),
                "text": self.headline.text,
            },
            "genre": self.genre,
            "confidence": round(self.confidence, 4),
            "is_music": self.is_music,
            "confident": self.confident,
            "prediction_set": list(self.prediction_set),
            "probabilities": _rounded(self.probabilities),
            "sections": [
                {"start": round(one.start, 3), "end": round(one.end, 3), "genre": one.genre} for one in self.sections
            ],
            "windows": [
                {
                    "start": round(one.start, 3),
                    "end": round(one.end, 3),
                    "silent": one.silent,
                    "probabilities": _rounded(one.probabilities),
                }
                for one in self.windows
            ],
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
            "checkpoint": self.checkpoint,
        }


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {genre: round(p, 4) for genre, p in probabilities.items()}


def between(genres: Sequence[str]) -> str:
    """Folk, Folk or Pop, or Folk, Pop or Rock."""
    return genres[0] if len(genres) == 1 else f"{', '.join(genres[:-1])} or {genres[-1]}"


def find_sections(windows: Sequence[Window], genres: list[str], seconds: float) -> tuple[Section, ...]:
    """Split a recording where its genre changes.

    The split maximises the sum of the windows' log-probabilities of their section's genre, minus `SWITCH_COST` for
    every change, over all splits into sections of at least `MIN_SECONDS`. Dynamic programming finds the optimum
    ("optimal partitioning", Jackson et al., 2005). A recording without a change is one section of the genre predicted
    for the recording. Silent windows do not contribute; where they last `MIN_SECONDS`, they become a section of
    silence, and the sections on both sides of it may have the same genre.

    Args:
        windows: in order of time.
        genres: most probable first.
        seconds: duration of what was classified.

    Returns:
        the sections in order of time; they cover what was classified, and neighbours differ.
    """
    edges = window_edges(windows, seconds)
    weights = np.diff(edges) / EVIDENCE_SECONDS
    pieces = _best_split(edges, _log_probabilities(windows, genres) * weights[:, None])
    found = [Section(float(edges[first]), float(edges[last]), genres[genre]) for first, last, genre in pieces]
    if len(found) == 1:
        found = [Section(float(edges[0]), float(edges[-1]), genres[0])]
    return tuple(_replace_silence(found, _silences(windows, edges)))


def _log_probabilities(windows: Sequence[Window], genres: list[str]) -> np.ndarray:
    """Log-probabilities, shape (windows, genres); 0 for every genre where a window is silent."""
    probabilities = [[1.0] * len(genres) if one.silent else [one.probabilities[g] for g in genres] for one in windows]
    return np.log(np.array(probabilities).clip(MIN_PROBABILITY))


def _silences(windows: Sequence[Window], edges: np.ndarray) -> list[Section]:
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


def window_edges(windows: Sequence[Window], seconds: float) -> np.ndarray:
    """Boundaries between windows of a recording or an excerpt of this length, in seconds, shape (windows + 1,).

    Overlapping neighbours are separated in the middle of their overlap, so that no audio counts twice.
    """
    inner = [(one.end + following.start) / 2 for one, following in pairwise(windows)]
    start = windows[0].start
    return np.array([start, *inner, start + seconds])


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
    shortest = min(MIN_SECONDS, edges[-1] - edges[0]) - 1e-6
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
