"""How the page reads what visitors send: in a process apart, and within its limits."""

import time
from collections.abc import Iterator

import numpy as np

from genre import worker
from genre.page.limits import JOB_SECONDS, MAX_SECONDS


def read(path: str, rate: int, *, start: float = 0.0, seconds: float | None = None) -> Iterator[np.ndarray]:
    """As `genre.audio.stream`, but at most `MAX_SECONDS`, and no more than is used within `JOB_SECONDS`."""
    deadline = time.monotonic() + JOB_SECONDS
    for piece in worker.stream(path, rate, start=start, seconds=min(seconds or MAX_SECONDS, MAX_SECONDS)):
        yield piece
        if time.monotonic() > deadline:
            return
