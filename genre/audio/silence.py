"""What counts as silence: too little sound for a window to have a vote. Works without torch, for processes that decode.

Levels are root mean squares around the mean, so that a constant offset is silence, too.
"""

import numpy as np

SILENCE = 1e-4  # of full scale, -80 dB: above the dither of 16 bits (-96 dB), below songs at -50 dB and their pauses
# dB of a window below the loudest one of its recording, between music and what a recorder adds to a pause: in 12 whole
# songs only what follows the end of a fade lies further below, all else within 38 dB.
NOISE_DB = 45.0


def level(sound: np.ndarray) -> float:
    """Root mean square around the mean of sound, shape (samples,), as a part of full scale."""
    varying = sound - sound.mean()
    return float(np.sqrt(varying @ varying / len(varying)))


def silent(levels: np.ndarray) -> np.ndarray:
    """Which windows of a recording are silent, shape (windows,), from their levels, shape (windows,)."""
    loudest = levels.max(initial=0.0)
    return levels < max(SILENCE, loudest * 10 ** (-NOISE_DB / 20))
