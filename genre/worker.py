"""Decoding in processes of their own, so that a file that crashes or hangs FFmpeg takes no server down.

A worker is started when it is first needed (a second or two), serves one file at a time and is kept for the next one.
Sound goes through a pipe, which costs about a millisecond for 30 seconds of it.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import numpy as np

from genre import audio
from genre.errors import AudioError

PATIENCE_SECONDS = 30  # for a piece; an honest file takes a fraction of a second
MAX_MEMORY = 2**30  # bytes of a worker
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from genre.worker import main; main(int(sys.argv[2]))"
SOUND, END, ERROR = b"sound", b"end", b"error"  # what a worker says comes next

_idle: list["_Worker"] = []


def stream(
    path: str | os.PathLike, rate: int, *, start: float = 0.0, seconds: float | None = None, piece_seconds: float = 10.0
) -> Iterator[np.ndarray]:
    """As `genre.audio.stream`, in another process.

    Raises:
        AudioError: also where the file crashes or hangs the worker, which is then replaced for the next file.
    """
    worker = _take()
    task = {"rate": rate, "start": start, "seconds": seconds, "piece_seconds": piece_seconds}
    try:
        yield from worker.pieces({"path": os.fspath(path)} | task)
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
    """A process that decodes, and the pipe to it.

    Attributes:
        ready: whether it waits for a file.
    """

    def __init__(self):
        self.pipe, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, str(Path(__file__).parent.parent), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self.ready = True

    def pieces(self, task: dict) -> Iterator[np.ndarray]:
        self.ready = False
        try:
            self.pipe.send_bytes(json.dumps(task).encode())
            while (said := self._next()) == SOUND:
                yield np.frombuffer(self._next(), np.float32).copy()  # the bytes of a message cannot be written to
            message = self._next().decode() if said == ERROR else None
        except (EOFError, OSError) as error:
            raise AudioError("This file is damaged in a way that the decoder cannot cope with.") from error
        self.ready = True
        if message:
            raise AudioError(message)

    def _next(self) -> bytes:
        if not self.pipe.poll(PATIENCE_SECONDS):
            raise TimeoutError
        return self.pipe.recv_bytes()

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.wait()


def main(pipe: int) -> None:
    """A worker's life: decode what is asked for through `pipe`, a file descriptor, until the server is gone."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt), Connection(pipe) as server:
        while True:
            _serve(server, json.loads(server.recv_bytes()))


def _serve(server: Connection, task: dict) -> None:
    try:
        for piece in audio.stream(task.pop("path"), **task):
            server.send_bytes(SOUND)
            server.send_bytes(piece.data)
        server.send_bytes(END)
    except AudioError as error:
        server.send_bytes(ERROR)
        server.send_bytes(str(error).encode())
