"""Classify recordings, also live: a model gives probabilities for each window, and for the recording as a whole."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from genre.audio.audio import Audio, Clip
from genre.audio.decode import MAX_RATE, MIN_RATE
from genre.audio.levels import SILENCE, rms, silent
from genre.errors import AudioError
from genre.inference import MAX_OVERLAP
from genre.inference.prediction import Prediction, Window
from genre.models.model import GenreModel, adapt_to_fork, thread_pool

# Live
BUFFER_SECONDS = 12.0  # classified at once: four windows, long enough to be stable, short enough to follow a change
TOO_QUIET = -50.0  # dBFS; below it a microphone records room noise rather than music
TOO_QUIET_SECONDS = 1.0  # over which that is measured


@dataclass(frozen=True)
class _ClipResult:
    """Outputs for one clip.

    Attributes:
        rms: of its windows, shape (windows,), see `genre.audio.levels.rms`.
        windows: predictions for its windows.
        log_probabilities: by member, see `GenreModel.forward`; empty if the clip is silent.
        music: the music detector's logits, shape (windows,); empty without a detector.
    """

    rms: np.ndarray
    windows: list[Window]
    log_probabilities: dict[str, Tensor]
    music: Tensor


class Classifier:
    """Classifies recordings by genre.

    Args:
        model: on the device where it is to run.
    """

    def __init__(self, model: GenreModel):
        self.model = model.eval()
        self.labels = model.labels
        self.window_seconds = model.window_seconds
        self.sample_rate = model.sample_rate

    def classify(
        self,
        audio: Audio | str | os.PathLike | np.ndarray | Tensor,
        sample_rate: int | None = None,
        *,
        start: float = 0.0,
        seconds: float | None = None,
        overlap: float = 0.0,
        on_clip: Callable[[Clip], None] | None = None,
    ) -> Prediction:
        """Classify a recording.

        Args:
            audio: a recording, or what `Audio` makes one of: path of audio, or of a video with a sound track; or
                samples of shape (samples,) or (channels, samples), floating point with a full scale of 1 or integers
                with that of their type.
            sample_rate: of samples, in Hz; None for all others.
            start, seconds: where the excerpt to classify begins and how long it is, in seconds; by default the
                whole recording. The times of the prediction are those of the recording.
            overlap: fraction of a window that the next window overlaps, from 0 to `MAX_OVERLAP`.
            on_clip: called with every clip once it is classified.

        Raises:
            AudioError: the file cannot be decoded, or it is silent.
            ValueError: `start`, `seconds` or `overlap` is out of range, or samples have no rate or another shape.
        """
        predictions = self.stream(audio, sample_rate, start=start, seconds=seconds, overlap=overlap, on_clip=on_clip)
        return deque(predictions, maxlen=1).pop()

    def stream(
        self,
        audio: Audio | str | os.PathLike | np.ndarray | Tensor,
        sample_rate: int | None = None,
        *,
        start: float = 0.0,
        seconds: float | None = None,
        overlap: float = 0.0,
        on_clip: Callable[[Clip], None] | None = None,
    ) -> Iterator[Prediction]:
        """As `classify`, but yields the prediction for the audio so far after every 30 s; the last one is final."""
        recording = audio if isinstance(audio, Audio) else Audio(audio, sample_rate)
        results: list[_ClipResult] = []
        hop_seconds = self.hop_seconds(overlap)
        clips = recording.clips(self.sample_rate, self.window_seconds, hop_seconds, start=start, seconds=seconds)
        for clip, result in self._classify_clips(clips):
            results.append(result)
            if on_clip:
                on_clip(clip)
            if prediction := self._predict(results, clip.end - start, tuple(recording.notes)):
                yield prediction
        if not any(result.log_probabilities for result in results):
            raise AudioError("This recording is silent.")

    def hop_seconds(self, overlap: float) -> float:
        """Time from the start of a window to that of the next; raises ValueError if the overlap is out of range."""
        if not 0 <= overlap <= MAX_OVERLAP:
            raise ValueError(f"overlap must be from 0 to {MAX_OVERLAP}, not {overlap}")
        return self.window_seconds * (1 - overlap)

    def _classify_clips(self, clips: Iterable[Clip]) -> Iterator[tuple[Clip, _ClipResult]]:
        """Clips in order, each with its result.

        On a CPU, as many clips are classified at once as PyTorch has threads, each by one, since threads that share a
        clip wait for each other; but a recording of one clip by all of them (`GenreModel.forward`).
        """
        adapt_to_fork()
        threads = torch.get_num_threads() if self.model.device.type == "cpu" else 1
        begun: deque[tuple[Clip, Future[_ClipResult]]] = deque()
        try:
            for clip in clips:
                if threads == 1 or not (begun or clip.goes_on):
                    yield clip, self._classify_clip(clip)
                    continue
                begun.append((clip, thread_pool(threads, 1).submit(self._classify_clip, clip)))
                while begun and (len(begun) == threads or begun[0][1].done()):
                    first, result = begun.popleft()
                    yield first, result.result()
            while begun:
                first, result = begun.popleft()
                yield first, result.result()
        finally:
            for _, result in begun:
                result.cancel()

    @torch.inference_mode()
    def _classify_clip(self, clip: Clip) -> _ClipResult:
        """Run the members on a clip, unless all of its windows are silent."""
        spans = [(at, min(at + self.window_seconds, clip.end)) for at in clip.window_starts]
        rms_of_windows = self.window_rms(clip)
        if rms_of_windows.max() < SILENCE:
            return _ClipResult(rms_of_windows, [Window(*span, {}) for span in spans], {}, torch.empty(0))
        log_probabilities, features = self.run(clip)
        by_window = map(self._by_genre, self.model.window_probabilities(log_probabilities))
        windows = [Window(*span, probabilities) for span, probabilities in zip(spans, by_window, strict=True)]
        detector = self.model.detector
        music = detector(features[detector.member]) if detector else torch.empty(0)
        return _ClipResult(rms_of_windows, windows, log_probabilities, music)

    @torch.inference_mode()
    def run(self, clip: Clip) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Log-probabilities and features of a clip by member, see `GenreModel.forward`."""
        starts = torch.tensor(clip.window_starts, dtype=torch.float64) - clip.start
        return self.model(torch.from_numpy(clip.waveform), starts)

    def window_rms(self, clip: Clip) -> np.ndarray:
        """The RMS of each window of a clip, shape (windows,), see `genre.audio.levels.rms`."""
        length = round(self.window_seconds * self.sample_rate)
        firsts = [round((at - clip.start) * self.sample_rate) for at in clip.window_starts]
        return np.array([rms(clip.waveform[first : first + length]) for first in firsts])

    def _predict(self, results: list[_ClipResult], seconds: float, notes: tuple[str, ...]) -> Prediction | None:
        """The prediction for all clips so far; None if all of them are silent."""
        levels = [result.rms for result in results]
        is_silent = silent(np.concatenate(levels))
        log_probabilities = audible([result.log_probabilities for result in results], levels)
        if not log_probabilities:
            return None
        track = self._by_genre(self.model.track_probabilities(log_probabilities))
        (first, confidence), *others = track.items()
        thresholds, detector = self.model.thresholds, self.model.detector
        windows = [window for result in results for window in result.windows]
        return Prediction(
            probabilities=track,
            windows=tuple(replace(w, probabilities={}) if s else w for w, s in zip(windows, is_silent, strict=True)),
            seconds=seconds,
            checkpoint=self.model.name,
            is_music=detector is None
            or detector.is_music(audible([{"music": result.music} for result in results], levels)["music"]),
            confident=confidence >= thresholds.named_alone,
            prediction_set=(first, *(genre for genre, p in others if p >= thresholds.prediction_set)),
            notes=notes,
        )

    def _by_genre(self, probabilities: Tensor) -> dict[str, float]:
        pairs = zip(self.labels, probabilities.tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: -pair[1]))


def load(name: str | Path | None = None, device: str | torch.device = "cpu") -> Classifier:
    """Load a model into a classifier.

    Args:
        name: None for the shipped checkpoint, a name in `checkpoints/`, a folder, or "hf-hub:user/repo@revision".
        device: where the log-mels and the networks are computed, such as "cuda".

    Raises:
        CheckpointError: there is no such checkpoint, or it is incomplete or damaged.
    """
    return Classifier(GenreModel.from_pretrained(name, for_inference=True).to(device))


def audible(outputs: Sequence[Mapping[str, Tensor]], levels: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """Outputs for those windows of a recording that are not silent, joined; empty where all are.

    Args:
        outputs: of each clip by name, shape (windows, ...), or with one row where the input is the clip. Those of a
            clip whose windows are all silent are not read.
        levels: RMS of the windows of each clip, shape (windows,).
    """
    masks = np.split(~silent(np.concatenate(levels)), np.cumsum([len(one) for one in levels])[:-1])
    kept = [(one, torch.from_numpy(mask)) for one, mask in zip(outputs, masks, strict=True) if mask.any()]
    return {
        name: torch.cat(
            [one[name][mask.to(one[name].device)] if len(one[name]) > 1 else one[name] for one, mask in kept]
        )
        for name in (kept[0][0] if kept else ())
    }


class LiveClassifier:
    """Buffers the last `BUFFER_SECONDS` of a recording and classifies them.

    Args:
        classifier: makes the predictions.
        rate: sample rate of the recording, in Hz.

    Raises:
        AudioError: no microphone has that rate.
    """

    def __init__(self, classifier: Classifier, rate: int):
        if not MIN_RATE <= rate <= MAX_RATE:
            raise AudioError(f"This microphone claims {rate:,} samples a second, which none has.")
        self.classifier, self.rate = classifier, rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=classifier.sample_rate)
        self._buffer = np.zeros(0, np.float32)

    def add(self, sound: np.ndarray) -> None:
        """Append a mono waveform, float32, shape (samples,), at `rate`."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None]), format="flt", layout="mono")
        frame.sample_rate = self.rate
        pieces = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        most = round(BUFFER_SECONDS * self.classifier.sample_rate)
        self._buffer = np.concatenate([self._buffer, *pieces])[-most:]

    @property
    def too_quiet(self) -> bool:
        """Whether the last `TOO_QUIET_SECONDS` are below `TOO_QUIET`."""
        return _is_quiet(self._buffer[-round(TOO_QUIET_SECONDS * self.classifier.sample_rate) :])

    def predict(self) -> Prediction | None:
        """Classify the buffer; None until it fills a window or is full, and while all of it is below `TOO_QUIET`."""
        needed = min(self.classifier.window_seconds, BUFFER_SECONDS)  # the window of *whole* is longer than the buffer
        if len(self._buffer) < needed * self.classifier.sample_rate or _is_quiet(self._buffer):
            return None
        return self.classifier.classify(self._buffer, self.classifier.sample_rate)


def _is_quiet(sound: np.ndarray) -> bool:
    return not len(sound) or rms(sound) < 10 ** (TOO_QUIET / 20)
