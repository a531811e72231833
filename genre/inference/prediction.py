"""Predictions for a recording and its windows."""

from dataclasses import dataclass, field
from functools import cached_property

from genre.inference.sections import Section, find_sections

MOST_NAMED = 3  # candidates that a headline names


@dataclass(frozen=True)
class Window:
    """Prediction for one window.

    Attributes:
        start, end: in the recording, or in the excerpt that was classified, in seconds.
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
class Prediction:
    """Prediction for a recording.

    The labels form a closed set: every recording gets the nearest of the model's genres, also if its own is none of
    them.

    Attributes:
        genre: the most probable genre.
        confidence: its calibrated probability.
        probabilities: calibrated, by genre, most probable first; they sum to 1.
        windows: predictions for the windows in order of time; together they cover the recording.
        seconds: duration of the audio that was classified.
        checkpoint: name of the model.
        is_music: output of the music detector; True if the checkpoint has none. If False, the genre means little.
        confident: whether the confidence reaches `ConfidenceLimits.confident_from`.
        prediction_set: conformal prediction set, most probable first, with about 90 % coverage of the true genre on
            validation.
        notes: sentences about the file, such as which audio track was used or how much could not be decoded. While
            a file is being decoded, its predictions share this list and later notes are appended to it.
    """

    probabilities: dict[str, float]
    windows: list[Window]
    seconds: float
    checkpoint: str
    is_music: bool = True
    confident: bool = True
    prediction_set: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def genre(self) -> str:
        return next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        return self.probabilities[self.genre]

    @property
    def candidates(self) -> list[str]:
        """The genres to name: the most probable one alone if the model is confident, else the prediction set."""
        return [self.genre] if self.confident or not self.prediction_set else self.prediction_set

    @cached_property
    def sections(self) -> list[Section]:
        """The recording split where its genre changes, see `genre.inference.sections`."""
        return find_sections(self.windows, list(self.probabilities), self.seconds)

    def to_dict(self) -> dict:
        """Plain values for JSON: probabilities rounded to 4 decimals, times to 3 (ms)."""
        return {
            "genre": self.genre,
            "confidence": round(self.confidence, 4),
            "is_music": self.is_music,
            "confident": self.confident,
            "prediction_set": self.prediction_set,
            "probabilities": _rounded(self.probabilities),
            "windows": [
                {
                    "start": round(w.start, 3),
                    "end": round(w.end, 3),
                    "silent": w.silent,
                    "probabilities": _rounded(w.probabilities),
                }
                for w in self.windows
            ],
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
            "checkpoint": self.checkpoint,
        }


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {genre: round(p, 4) for genre, p in probabilities.items()}
