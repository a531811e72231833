"""From a file to a verdict: windows to probabilities to an aggregated, calibrated Prediction."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genre.audio.decode import stream
from genre.audio.silence import SILENCE, level, silent
from genre.errors import AudioError
from genre.features.clips import Clip, cut_clips
from genre.models.batch_norm import fuse_batch_norm
from genre.models.checkpoint import Checkpoint, load_checkpoint


@dataclass(frozen=True)
class Window:
    """Verdict on one window; times in seconds, probabilities by genre, likeliest first; none where it is silent."""

    start: float
    end: float
    probabilities: dict[str, float]

    @property
    def silent(self) -> bool:
        return not self.probabilities

    @property
    def genre(self) -> str | None:
        """The likeliest one; None where the window is silent."""
        return next(iter(self.probabilities), None)


@dataclass(frozen=True)
class Prediction:
    """Verdict on a recording.

    Attributes:
        genre: the likeliest genre.
        confidence: its calibrated probability.
        probabilities: of every genre, likeliest first.
        windows: verdicts in order of time; together they cover the recording.
        seconds: how much was heard.
        checkpoint: name of the model.
        is_music: whether it sounds like music at all; without that the genre means little.
        sure: whether the confidence is enough to name the genre alone.
        plausible: genres that it may well be, likeliest first: about nine times in ten the true one is among them.
        notes: sentences on what was unusual about the file, such as which of its tracks was used or how much of it
            could not be decoded. While a file is read the list is shared by its predictions, and grows.
    """

    probabilities: dict[str, float]
    windows: list[Window]
    seconds: float
    checkpoint: str
    is_music: bool = True
    sure: bool = True
    plausible: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def genre(self) -> str:
        return next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        return self.probabilities[self.genre]

    def to_dict(self) -> dict:
        """Plain values, ready for JSON, rounded to what means something."""
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


@dataclass(frozen=True)
class _ClipResult:
    """What is known of a clip.

    Attributes:
        levels: of its windows, shape (windows,), see `genre.audio.silence`.
        windows: verdicts on them.
        log_probabilities, features: as `Classifier._look` returns them; None where the clip is silent.
    """

    levels: np.ndarray
    windows: list[Window]
    log_probabilities: dict[str, Tensor] | None
    features: Tensor | None


class Classifier:
    """Tells the genre of recordings.

    Args:
        checkpoint: trained members, see `genre.models.checkpoint`.
        read: what reads files: called as `genre.audio.decode.stream` is, and yields what that does.
    """

    def __init__(self, checkpoint: Checkpoint, read: Callable[..., Iterator[np.ndarray]] = stream):
        self.checkpoint = replace(
            checkpoint, members={name: fuse_batch_norm(m) for name, m in checkpoint.members.items()}
        )
        self.read = read
        self.labels = checkpoint.labels
        self.window_seconds = checkpoint.window_seconds
        self.sample_rate = checkpoint.sample_rate

    def classify(
        self, path: str | os.PathLike, *, start: float = 0.0, seconds: float | None = None, overlap: float = 0.0
    ) -> Prediction:
        """Classify a file.

        Args:
            path: audio, or a video with a sound track.
            start, seconds: the part to hear, in seconds; all of it unless told.
            overlap: part of a window that the next one shares, at least 0 and below 1.

        Raises:
            AudioError: nothing in the file can be heard.
        """
        verdicts = self.stream(path, start=start, seconds=seconds, overlap=overlap)
        return deque(verdicts, maxlen=1).pop()

    def stream(
        self, path: str | os.PathLike, *, start: float = 0.0, seconds: float | None = None, overlap: float = 0.0
    ) -> Iterator[Prediction]:
        """As `classify`, handing over the verdict so far after every 30 s; the last one is the verdict."""
        notes: list[str] = []
        pieces = self.read(path, self.sample_rate, start=start, seconds=seconds, notes=notes)
        yield from (prediction for prediction, _ in self.listen(pieces, overlap=overlap, notes=notes) if prediction)

    def listen(
        self, pieces: Iterable[np.ndarray], *, overlap: float = 0.0, notes: list[str] | None = None
    ) -> Iterator[tuple[Prediction | None, Clip]]:
        """Classify mono sound at `sample_rate` that arrives in pieces, shape (samples,) each.

        Args:
            pieces: the sound.
            overlap: see `classify`.
            notes: of the predictions; what brings the pieces may add to it.

        Yields:
            the verdict so far (None while all was silent) and the clip that came last, after every 30 s and at the end.

        Raises:
            AudioError: there was no sound, or only silence.
        """
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must be at least 0 and below 1, not {overlap}")
        results, notes = [], [] if notes is None else notes
        for clip in cut_clips(pieces, self.sample_rate, self.window_seconds, self.window_seconds * (1 - overlap)):
            results.append(self._result(clip))
            yield self._verdict(results, clip.end, notes), clip
        if all(result.log_probabilities is None for result in results):
            raise AudioError("This recording is silent.")

    def _verdict(self, results: list["_ClipResult"], seconds: float, notes: list[str]) -> Prediction | None:
        """The verdict on all clips so far; None where all of them are silent."""
        quiet = silent(np.concatenate([result.levels for result in results]))
        masks = np.split(quiet, np.cumsum([len(result.levels) for result in results])[:-1])
        voting = [(one, torch.from_numpy(~mask)) for one, mask in zip(results, masks, strict=True) if not mask.all()]
        if not voting:
            return None
        joined = {
            name: torch.cat([_rows(one.log_probabilities[name], mask) for one, mask in voting])
            for name in self.checkpoint.members
        }
        track = self._by_genre(self.checkpoint.track_probabilities(joined))
        (first, confidence), *others = track.items()
        limits, detector = self.checkpoint.limits, self.checkpoint.music
        windows = [window for result in results for window in result.windows]
        return Prediction(
            probabilities=track,
            windows=[replace(w, probabilities={}) if q else w for w, q in zip(windows, quiet, strict=True)],
            seconds=seconds,
            checkpoint=self.checkpoint.name,
            is_music=detector is None
            or detector.is_music(torch.cat([_rows(one.features, mask) for one, mask in voting])),
            confident=confidence >= limits.confident_from,
            prediction_set=[first, *(genre for genre, p in others if p >= limits.prediction_set_from)],
            notes=notes,
        )

    def _result(self, clip: Clip) -> "_ClipResult":
        """What the members make of a clip; nothing where it is silent."""
        spans = [(at, min(at + self.window_seconds, clip.end)) for at in clip.window_starts]
        levels = np.array([self._level(clip, at) for at in clip.window_starts])
        if levels.max() < SILENCE:
            return _ClipResult(levels, [Window(*span, {}) for span in spans], None, None)
        log_probabilities, features = self._look(clip)
        verdicts = map(self._by_genre, self.checkpoint.window_probabilities(log_probabilities))
        windows = [Window(*span, verdict) for span, verdict in zip(spans, verdicts, strict=True)]
        return _ClipResult(levels, windows, log_probabilities, features)

    def _level(self, clip: Clip, at: float) -> float:
        """Of the window at `at` seconds."""
        first = round((at - clip.start) * self.sample_rate)
        return level(clip.waveform[first : first + round(self.window_seconds * self.sample_rate)].numpy())

    @torch.inference_mode()
    def _look(self, clip: Clip) -> tuple[dict[str, Tensor], Tensor | None]:
        """What the members make of a clip.

        Returns:
            log-probabilities of its windows by member, shape (windows, labels), one row where a member sees them all;
            and what the music detector goes by, shape (windows, features), where there is one.
        """
        starts = torch.tensor(clip.window_starts, dtype=torch.float64) - clip.start
        detector = self.checkpoint.music
        waveform, results, spectra, music = clip.raised, {}, {}, None
        for name, member in self.checkpoint.members.items():
            log_mel = member.log_mel
            if (key := log_mel.config.spectrum) not in spectra:  # members may look at the same one
                spectra[key] = log_mel.spectrum(waveform)
            sees_all = log_mel.config.window_seconds > self.window_seconds
            windows = log_mel.windows(spectra[key], torch.zeros(1) if sees_all else starts)
            features = member.embed(windows)
            results[name] = member.head(features).float().log_softmax(-1)
            if detector and detector.member == name:
                music = features
        return results, music

    def _by_genre(self, probabilities: Tensor) -> dict[str, float]:
        pairs = zip(self.labels, probabilities.tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: -pair[1]))


def load(name: str | Path | None = None) -> Classifier:
    """A classifier on the shipped checkpoint, a folder, a name in `checkpoints/`, or "hf-hub:user/repo@revision".

    Raises:
        CheckpointError: there is none of that name, or it is damaged.
    """
    return Classifier(load_checkpoint(name))


def _rows(of_clip: Tensor, voting: Tensor) -> Tensor:
    """Rows of the windows that vote (a mask, shape (windows,)); of a member that sees the clip at once, its one row."""
    return of_clip[voting] if len(of_clip) == len(voting) else of_clip


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {genre: round(p, 4) for genre, p in probabilities.items()}
