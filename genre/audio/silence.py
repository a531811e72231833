"""Detection of silent windows, which do not count in a prediction. Without torch, for decoding processes.

Levels are root mean squares around the mean, so that a constant (DC) offset is silent too.
"""

import numpy as np

SILENCE = 1e-4  # of full scale, -80 dB: above 16-bit dither (-96 dB), below songs at -50 dB and their pauses
# dB below the loudest window of the recording, between music and the noise of a recorder in pauses: in 12 whole songs
# only what follows the end of a fade-out is lower, everything else is within 38 dB.
NOISE_DB = 45.0
BLOCK_SECONDS = 0.1  # of the search for the ends
END_SECONDS = 3.0  # of silence from which it is left out: a window


def level(samples: np.ndarray) -> float:
    """Root mean square around the mean of samples, shape (samples,), as a fraction of full scale."""
    varying = samples - samples.mean()
    return float(np.sqrt(varying @ varying / len(varying)))


def silent(levels: np.ndarray, loudest: float | None = None) -> np.ndarray:
    """Which windows of a recording are silent, bool of shape (windows,).

    Args:
        levels: of the windows, shape (windows,).
        loudest: level of the loudest one; by default the maximum of these.
    """
    if loudest is None:
        loudest = levels.max(initial=0.0)
    return levels < max(SILENCE, loudest * 10 ** (-NOISE_DB / 20))


def audible_span(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Start and end of samples, shape (samples,), without silence at the ends, in seconds.

    Less than `END_SECONDS` of silence at both ends together, and silence alone, are not left out.
    """
    size, seconds = round(BLOCK_SECONDS * rate), len(samples) / rate
    blocks = samples[: len(samples) // size * size].reshape(-1, size).std(axis=1)
    in_window = min(len(blocks), round(END_SECONDS / BLOCK_SECONDS))
    if not in_window:
        return 0.0, seconds
    loudest = np.sqrt(np.convolve(blocks**2, np.full(in_window, 1 / in_window), "valid").max())  # window
    audible = np.flatnonzero(~silent(blocks, loudest))
    if not len(audible):
        return 0.0, seconds
    start, end = audible[0] * BLOCK_SECONDS, (audible[-1] + 1) * BLOCK_SECONDS
    if audible[-1] == len(blocks) - 1:  # with a last block that is shorter
        end = seconds
    return (start, end) if start + seconds - end >= END_SECONDS else (0.0, seconds)
