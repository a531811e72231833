"""Playback copies of uploads: written beside the classification by a decoding process, deleted with the upload."""

import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

from genre.audio import worker
from genre.errors import AudioError
from genre.web import PLAYBACK
from genre.web.limits import JOB_SECONDS, MAX_SECONDS
from genre.web.upload_reader import is_upload

NAME = "copy"  # of a complete one, before its suffix


class PlaybackCopy:
    """The playback copy of an upload; leaving its context ends the work on it.

    Attributes:
        file: None until the copy is complete.
        has_ended: whether there will be no other one.
    """

    def __init__(self, upload: str):
        self.upload = Path(upload)
        self.file: Path | None = None
        self._wanted, self._done = True, threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "PlaybackCopy":
        return self

    def __exit__(self, *_: object) -> None:
        self._wanted = False

    def begin(self) -> None:
        """Write it in a thread, unless it is there, or that has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, daemon=True)
            self._thread.start()

    @property
    def has_ended(self) -> bool:
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the work; returns whether it has ended, with a copy or without."""
        return self._done.wait(seconds)

    def _write(self) -> None:
        folder, deadline = self.upload.parent / PLAYBACK, time.monotonic() + JOB_SECONDS
        part = folder / f"{secrets.token_hex(8)}.part"
        try:
            if not is_upload(str(self.upload)):
                return
            if found := next(folder.glob(f"{NAME}.*"), None):
                self.file = found
                return
            folder.mkdir(exist_ok=True)
            suffix = worker.write_playback(
                self.upload, part, MAX_SECONDS, lambda: self._wanted and time.monotonic() < deadline
            )
            if suffix:
                self.file = part.replace(folder / f"{NAME}.{suffix}")
        except (AudioError, OSError):  # also where the disk is full
            pass
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self._done.set()
