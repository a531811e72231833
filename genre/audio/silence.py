"""What counts as silence: too little sound for a window to have a vote. Works without torch, for processes that decode.

Levels are root mean squares around the mean, so that a constant offset is silence, too.
"""

import numpy as np

SILENCE = 1e-4  # of full scale, -80 dB: above the dither of 16 bits (-96 dB), below songs at -50 dB and their pauses
# dB of a window below the loudest one of its recording. Self-noise of recorders is 50 dB and more below the music that
# they are set for; of 12 whole songs, no window but those of a fade's end lies further below the loudest than 38 dB.
NOISE_DB = 45.0


def level(sound: np.ndarray) -> float:
    """Root mean square around the mean of sound, shape (samples,), as a part of full scale."""
    varying = sound - sound.mean()
    return float(np.sqrt(varying @ varying / len(varying)))


def silent(levels: np.ndarray) -> np.ndarray:
    """Which windows of a recording are silent, shape (windows,), from their levels, shape (windows,)."""
    loudest = levels.max(initial=0.0)
    return levels < max(SILENCE, loudest * 10 ** (-NOISE_DB / 20))
