"""Live classification: audio from a microphone, and a prediction for its last seconds."""

from dataclasses import dataclass

import av
import numpy as np

from genre.audio import levels
from genre.audio.decode import MAX_RATE, MIN_RATE
from genre.errors import AudioError
from genre.inference.classify import Classifier
from genre.inference.prediction import Prediction

BUFFER_SECONDS = 12.0  # classified at once: four windows, long enough to be stable, short enough to follow a change
LEVEL_SECONDS = 1.0  # over which the level is measured
TOO_QUIET = -50.0  # dBFS; below it a microphone records room noise rather than music
FLOOR = -120.0  # dBFS; level of digital silence


@dataclass(frozen=True)
class LiveResult:
    """State of a live recording.

    Attributes:
        level: of the last `LEVEL_SECONDS`, in dBFS.
        prediction: for the last `BUFFER_SECONDS`; None until they fill a window or the buffer, and while all of them
            are too quiet.
    """

    level: float
    prediction: Prediction | None

    @property
    def too_quiet(self) -> bool:
        return self.level < TOO_QUIET


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

    def predict(self) -> LiveResult:
        """Classify the buffer."""
        buffer, rate = self._buffer, self.classifier.sample_rate
        prediction = None
        needed = min(self.classifier.window_seconds, BUFFER_SECONDS)  # the window of *whole* is longer than the buffer
        if len(buffer) >= needed * rate and level(buffer) >= TOO_QUIET:
            prediction = self.classifier.classify(buffer, rate)
        return LiveResult(level(buffer[-round(LEVEL_SECONDS * rate) :]), prediction)


def level(sound: np.ndarray) -> float:
    """`genre.audio.levels.level` of a waveform, shape (samples,), in dBFS, at least `FLOOR`."""
    fraction = levels.level(sound) if len(sound) else 0.0
    return max(FLOOR, 20 * np.log10(fraction)) if fraction > 0 else FLOOR
