import numpy as np

from genre.audio.decode import stream
from tests.conftest import RATE


def decoded(path, rate=RATE, **excerpt):
    """Samples, shape (samples,), and notes of a file, decoded in this process."""
    results = list(stream(path, rate, **excerpt))
    pieces = [one for one in results if not isinstance(one, str)]
    return np.concatenate(pieces), [one for one in results if isinstance(one, str)]
