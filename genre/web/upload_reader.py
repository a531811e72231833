"""Decodes uploads in a worker process, within the limits of the page."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gradio.utils import get_upload_folder

from genre.audio import worker
from genre.errors import AudioError
from genre.web import texts
from genre.web.limits import JOB_SECONDS, MAX_SECONDS


def read(
    path: str, rate: int, *, start: float = 0.0, seconds: float | None = None, notes: list[str] | None = None
) -> Iterator[np.ndarray]:
    """As `genre.audio.decode.stream`, but at most `MAX_SECONDS`, and ends `JOB_SECONDS` after its start.

    A note tells of either end.

    Raises:
        AudioError: also if the path is outside the folder of uploads, since an API call may contain any path, and if
            the upload has been deleted.
    """
    if not is_upload(path):
        raise AudioError(texts.NOT_SENT)
    if not Path(path).exists():
        raise AudioError(texts.DELETED)
    notes = [] if notes is None else notes
    deadline, samples = time.monotonic() + JOB_SECONDS, 0
    limit = min(seconds or MAX_SECONDS, MAX_SECONDS)
    for piece in worker.stream(path, rate, start=start, seconds=limit, notes=notes):
        if samples and time.monotonic() > deadline:
            notes.append(texts.OUT_OF_TIME)
            return
        samples += len(piece)
        yield piece
    if samples >= MAX_SECONDS * rate:
        notes.append(texts.limit_reached(MAX_SECONDS))


def is_upload(path: str) -> bool:
    """Whether a path is in the folder of uploads."""
    try:
        return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except ValueError:  # a path with a NUL character, which no system has
        return False
