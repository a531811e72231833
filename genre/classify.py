"""From a file to a verdict: windows to probabilities to an aggregated, calibrated Prediction."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genre.audio import stream
from genre.checkpoint import Checkpoint, load_checkpoint
from genre.errors import AudioError
from genre.fold import folded
from genre.frontend import CLIP_SECONDS, TAIL_SECONDS, window_starts

SILENCE = 1e-4  # a recording that never passes -80 dB of full scale is silent
MIN_LEVEL = 0.1  # root mean square of a clip, -20 dB of full scale; most masters are louder


@dataclass(frozen=True)
class Window:
    """Verdict on one window; times in seconds, probabilities by genre, likeliest first."""

    start: float
    end: float
    probabilities: dict[str, float]

    @property
    def genre(self) -> str:
        return next(iter(self.probabilities))


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
    """

    probabilities: dict[str, float]
    windows: list[Window]
    seconds: float
    checkpoint: str
    is_music: bool = True
    sure: bool = True
    plausible: list[str] = field(default_factory=list)

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
            "sure": self.sure,
            "plausible": self.plausible,
            "probabilities": _rounded(self.probabilities),
            "windows": [
                {"start": round(w.start, 3), "end": round(w.end, 3), "probabilities": _rounded(w.probabilities)}
                for w in self.windows
            ],
            "seconds": round(self.seconds, 3),
            "checkpoint": self.checkpoint,
        }


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


class Classifier:
    """Tells the genre of recordings.

    Args:
        checkpoint: trained members, see `genre.checkpoint`.
        read: what reads files: called as `genre.audio.stream` is, and yields what that does.
    """

    def __init__(self, checkpoint: Checkpoint, read: Callable[..., Iterator[np.ndarray]] = stream):
        self.checkpoint = replace(checkpoint, members={name: folded(m) for name, m in checkpoint.members.items()})
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
        pieces = self.read(path, self.sample_rate, start=start, seconds=seconds)
        yield from (prediction for prediction, _ in self.listen(pieces, overlap=overlap) if prediction)

    def listen(self, pieces: Iterable[np.ndarray], *, overlap: float = 0.0) -> Iterator[tuple[Prediction | None, Clip]]:
        """Classify mono sound at `sample_rate` that arrives in pieces, shape (samples,) each.

        Yields:
            the verdict so far (None while all was silent) and the clip heard last, after every 30 s and at the end.

        Raises:
            AudioError: there was no sound, or only silence.
        """
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must be at least 0 and below 1, not {overlap}")
        windows, heard, music, loudest = [], [], [], 0.0
        for clip in cut_clips(pieces, self.sample_rate, self.window_seconds, self.window_seconds * (1 - overlap)):
            loudest = max(loudest, clip.waveform.abs().max().item())
            log_probabilities, features = self._look(clip)
            heard.append(log_probabilities)
            music.append(features)
            verdicts = self.checkpoint.window_probabilities(heard[-1])
            for at, probabilities in zip(clip.window_starts, verdicts, strict=True):
                windows.append(Window(at, min(at + self.window_seconds, clip.end), self._by_genre(probabilities)))
            yield (self._verdict(heard, music, windows, clip.end) if loudest >= SILENCE else None), clip
        if loudest < SILENCE:
            raise AudioError("This recording is silent.")

    def _verdict(
        self, heard: list[dict[str, Tensor]], music: list[Tensor | None], windows: list[Window], seconds: float
    ) -> Prediction:
        """The verdict on all clips so far, from what `_look` says of each."""
        joined = {name: torch.cat([clip[name] for clip in heard]) for name in self.checkpoint.members}
        track = self._by_genre(self.checkpoint.track_probabilities(joined))
        (first, confidence), *others = track.items()
        limits, detector = self.checkpoint.certainty, self.checkpoint.music
        return Prediction(
            probabilities=track,
            windows=list(windows),
            seconds=seconds,
            checkpoint=self.checkpoint.name,
            is_music=detector is None or detector.is_music(torch.cat(music)),
            sure=confidence >= limits.sure_from,
            plausible=[first, *(genre for genre, p in others if p >= limits.plausible_from)],
        )

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
            results[name] = member.judge(features).float().log_softmax(-1)
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


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {genre: round(p, 4) for genre, p in probabilities.items()}
