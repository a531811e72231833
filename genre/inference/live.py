"""Sound that arrives while it is made, to a verdict on its last seconds."""

from dataclasses import dataclass

import av
import numpy as np

from genre.audio.decode import MAX_RATE, MIN_RATE
from genre.errors import AudioError
from genre.inference.classify import Classifier, Prediction

HELD_SECONDS = 12.0  # that a verdict is about: four windows, long enough to be steady, short enough to follow a change
LEVEL_SECONDS = 1.0  # that a level is measured over
TOO_QUIET = -50.0  # dBFS; below it a microphone hears the room rather than the music
FLOOR = -120.0  # dBFS; what silence is given


@dataclass(frozen=True)
class LiveResult:
    """What was heard so far.

    Attributes:
        seconds: in all.
        level: of the last second, in dBFS.
        prediction: on the last `HELD_SECONDS`; None before they fill a window, and while all of them are too quiet.
    """

    seconds: float
    level: float
    prediction: Prediction | None

    @property
    def too_quiet(self) -> bool:
        return self.level < TOO_QUIET


class LiveClassifier:
    """Holds the last seconds of a sound, at most `HELD_SECONDS`.

    Args:
        classifier: tells their genre.
        rate: of the sound that will be added, in Hz.

    Raises:
        AudioError: no microphone has that rate.
    """

    def __init__(self, classifier: Classifier, rate: int):
        if not MIN_RATE <= rate <= MAX_RATE:
            raise AudioError(f"This microphone claims {rate:,} samples a second, which none has.")
        self.classifier, self.rate = classifier, rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=classifier.sample_rate)
        self._held = np.zeros(0, np.float32)
        self._samples = 0  # added in all

    def add(self, sound: np.ndarray) -> None:
        """Append mono sound, float32, shape (samples,)."""
        self._samples += len(sound)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None]), format="flt", layout="mono")
        frame.sample_rate = self.rate
        pieces = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        most = round(HELD_SECONDS * self.classifier.sample_rate)
        self._held = np.concatenate([self._held, *pieces])[-most:]

    def hear(self) -> LiveResult:
        """The verdict on what is held."""
        held, rate = self._held, self.classifier.sample_rate
        prediction = None
        if len(held) >= self.classifier.window_seconds * rate and level(held) >= TOO_QUIET:
            ((prediction, _),) = self.classifier.listen([held])
        return LiveResult(self._samples / self.rate, level(held[-round(LEVEL_SECONDS * rate) :]), prediction)


def level(sound: np.ndarray) -> float:
    """Root mean square in dB of full scale, 0 for a square wave that fills it; `FLOOR` at least."""
    power = float(np.mean(np.square(sound))) if len(sound) else 0.0
    return max(FLOOR, 10 * np.log10(power)) if power > 0 else FLOOR
