"""Decoding in processes of their own, so that a file that crashes or hangs FFmpeg takes no server down.

A worker is started when it is first needed (a second or two), serves one file at a time and is kept for the next one.
It takes tasks, a line of JSON each, from its standard input, and answers on its standard output, which every system
has: messages of a kind and a size (`HEADER`) with so many bytes after it. That costs less than 10 ms for 30 seconds of
sound at 44.1 kHz.
"""

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genre.audio import decode
from genre.errors import AudioError

PATIENCE_SECONDS = 30  # for a piece; an honest file takes a fraction of a second
MAX_MEMORY = 2**30  # bytes of a worker, where the system can limit them
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from genre.audio.worker import main; main()"
HEADER = struct.Struct("<cQ")  # of a message: its kind, and how many bytes follow
SOUND, NOTE, END, ERROR = b"s", b"n", b"e", b"!"  # kinds: float32 samples; a note in UTF-8; nothing; an error in UTF-8

_idle: list["_Worker"] = []


def stream(
    path: str | os.PathLike,
    rate: int,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    piece_seconds: float = 10.0,
    notes: list[str] | None = None,
) -> Iterator[np.ndarray]:
    """As `genre.audio.decode.stream`, in another process.

    Raises:
        AudioError: also where the file crashes or hangs the worker, which is then replaced for the next file.
    """
    worker = _take()
    task = {"rate": rate, "start": start, "seconds": seconds, "piece_seconds": piece_seconds}
    try:
        yield from worker.pieces({"path": os.fspath(path)} | task, [] if notes is None else notes)
    finally:
        if worker.ready:
            _idle.append(worker)
        else:  # it died, hangs, or goes on with a file that nobody listens to any more
            worker.stop()


def _take() -> "_Worker":
    """An idle worker that is alive, or a new one."""
    with suppress(IndexError):
        while (worker := _idle.pop()).process.poll() is not None:
            worker.stop()
        return worker
    return _Worker()


class _Worker:
    """A process that decodes, and the pipes to it.

    Attributes:
        ready: whether it waits for a file.
    """

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self.ready = True

    def pieces(self, task: dict, notes: list[str]) -> Iterator[np.ndarray]:
        self.ready = False
        try:
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()
            kind, content = self._next()
            while kind in (SOUND, NOTE):
                if kind == NOTE:
                    notes.append(content.tobytes().decode())
                else:
                    yield content.view(np.float32)
                kind, content = self._next()
        except (EOFError, OSError) as error:
            raise AudioError("This file is damaged in a way that the decoder cannot cope with.") from error
        self.ready = True
        if kind == ERROR:
            raise AudioError(content.tobytes().decode())

    def _next(self) -> tuple[bytes, np.ndarray]:
        """Kind and bytes of the next message; a worker that takes too long is killed, which ends its output."""
        watchdog = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            kind, size = HEADER.unpack(self._read(HEADER.size))
            return kind, self._read(size)
        finally:
            watchdog.cancel()

    def _read(self, size: int) -> np.ndarray:
        content = np.empty(size, np.uint8)
        if self.process.stdout.readinto(content) < size:
            raise EOFError
        return content

    def stop(self) -> None:
        with suppress(OSError), self.process:  # which closes the pipes and waits for its end
            self.process.kill()


def main() -> None:
    """A worker's life: decode what is asked for on standard input until the server is gone."""
    _limit()
    with suppress(BrokenPipeError, KeyboardInterrupt), os.fdopen(os.dup(1), "wb") as server:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints must not answer
        for task in sys.stdin.buffer:
            _serve(server, json.loads(task))


def _limit() -> None:
    """Bound this process's memory and have a crash leave no file, where the system knows how."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError):  # a lower limit stands already, or the system has none for this
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))


def _serve(server: BinaryIO, task: dict) -> None:
    notes, sent = [], 0
    try:
        for piece in decode.stream(task.pop("path"), notes=notes, **task):
            sent = _send_notes(server, notes, sent)
            _send(server, SOUND, piece.data.cast("B"))
        _send_notes(server, notes, sent)
        _send(server, END)
    except AudioError as error:
        _send(server, ERROR, str(error).encode())


def _send_notes(server: BinaryIO, notes: list[str], sent: int) -> int:
    """Send the notes that are new; returns how many were sent in all."""
    for note in notes[sent:]:
        _send(server, NOTE, note.encode())
    return len(notes)


def _send(server: BinaryIO, kind: bytes, content: bytes | memoryview = b"") -> None:
    server.write(HEADER.pack(kind, len(content)))
    server.write(content)
    server.flush()
