"""Decoding in separate processes, so that a file that crashes or hangs FFmpeg stops nothing but itself.

A worker is started when it is first needed (a second or two), decodes one file at a time and is reused for the next
one. It reads tasks as JSON lines from its standard input and writes messages to its standard output: a header with kind
and size (`HEADER`), then as many bytes. A thread takes up to `AHEAD` of them before they are asked for.
"""

import io
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from genre.audio import decode, folders, playback
from genre.errors import AudioError

CPU_SECONDS = 30  # of a worker for a piece, which takes a fraction of one in an ordinary file
TIMEOUT_SECONDS = 300  # for a piece, also of a worker that starts, reads a slow disk or has a busy processor
AHEAD = 4  # messages, such as pieces of 10 s
MAX_MEMORY = 2**30  # bytes of a worker, where the system can limit them
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from genre.audio.worker import main; main()"
HEADER = struct.Struct("<cQ")  # of a message: its kind, and the number of bytes that follow
# Kinds: float32 numbers; UTF-8; empty; an error in UTF-8; and in place of a message where they break off.
SAMPLES, TEXT, END, ERROR, BROKEN = b"s", b"t", b"e", b"!", b"?"
BROKEN_OFF = "Decoding this file broke off: it is damaged beyond what the decoder copes with, or memory is short."
WORK: dict[str, Callable[..., Iterator[np.ndarray | str]]] = {
    "stream": decode.stream,
    "tags": folders.stream_tags,
    "playback": playback.write,
}

_idle: list["_Worker"] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # two processes must not talk to the same worker


def run(work: str, path: str | os.PathLike, **options: Any) -> Iterator[np.ndarray | str]:
    """Run one of the functions in `WORK` on a file, in another process.

    Args:
        work: name of the function.
        options: its other arguments, as JSON has them.

    Yields:
        what the function yields: arrays of float32, shape (samples,), and text.

    Raises:
        AudioError: as the function; also where the file crashes or hangs the worker, which is then replaced for the
            next file.
    """
    with _worker() as worker:
        yield from worker.run({"work": work, "path": str(Path(path).absolute())} | options)


def start() -> None:
    """Start a worker, which takes the first task as soon as it comes; for programs that import torch meanwhile."""
    _idle.append(_Worker())


@contextmanager
def _worker() -> Iterator["_Worker"]:
    """A worker for one task; afterwards it waits for the next one, or is stopped if it cannot take one."""
    worker = _take()
    try:
        yield worker
    finally:
        if worker.ready:
            _idle.append(worker)
        else:  # it died, hangs, or is still decoding a file that the caller has closed
            worker.stop()


def _take() -> "_Worker":
    """An idle worker that is alive, or a new one."""
    with suppress(IndexError):
        while (worker := _idle.pop()).process.poll() is not None:
            worker.stop()
        return worker
    return _Worker()


class _Worker:
    """A decoding process and the pipes to it.

    Attributes:
        ready: whether it waits for a task.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            # Ctrl-C and the like reach the program alone, which decides what becomes of a file that is being decoded.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        # Not None, since both are pipes.
        self._input = cast(io.BufferedWriter, self.process.stdin)
        self._output = cast(io.BufferedReader, self.process.stdout)
        self._messages: queue.Queue[tuple[bytes, np.ndarray]] = queue.Queue(AHEAD)
        self._receiver = threading.Thread()
        self.ready = True

    def run(self, task: dict) -> Iterator[np.ndarray | str]:
        """Run a task; see the function `run`."""
        self.ready = False
        with suppress(OSError):  # it has died, so that no message comes
            self._input.write(json.dumps(task).encode() + b"\n")
            self._input.flush()
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()
        kind, content = self._next()
        while kind in (SAMPLES, TEXT):
            yield content.view(np.float32) if kind == SAMPLES else content.tobytes().decode()
            kind, content = self._next()
        if kind == BROKEN:
            raise AudioError(BROKEN_OFF)
        self.ready = True
        if kind == ERROR:
            raise AudioError(content.tobytes().decode())

    def _receive(self) -> None:
        """Take the messages of a task, as they come, into the queue, which holds `AHEAD` of them."""
        kind = TEXT
        while kind in (SAMPLES, TEXT):
            try:
                kind, size = HEADER.unpack(self._read(HEADER.size).data)
                content = self._read(size)
            except (EOFError, OSError, MemoryError):
                kind, content = BROKEN, np.empty(0, np.uint8)
            self._messages.put((kind, content))

    def _read(self, size: int) -> np.ndarray:
        content = np.empty(size, np.uint8)
        if self._output.readinto(content.data) < size:
            raise EOFError
        return content

    def _next(self) -> tuple[bytes, np.ndarray]:
        """Kind and bytes of the next message; after `TIMEOUT_SECONDS` the worker is killed, which ends its messages."""
        for _ in range(TIMEOUT_SECONDS):  # by the second, since those in which this program is suspended do not count
            with suppress(queue.Empty):
                return self._messages.get(timeout=1)
        self.process.kill()
        return self._messages.get()

    def stop(self) -> None:
        self.process.kill()
        while self._receiver.is_alive():  # it may wait for room in the queue
            with suppress(queue.Empty):
                self._messages.get(timeout=0.01)
        with suppress(OSError), self.process:  # the context closes the pipes and waits for the process
            pass


def main() -> None:
    """Main loop of a worker: decode the tasks from standard input until the program that started it closes it."""
    _limit()
    with suppress(BrokenPipeError, KeyboardInterrupt), os.fdopen(os.dup(1), "wb") as server:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints must not be read as a message
        for task in sys.stdin.buffer:
            _serve(server, json.loads(task))


def _limit() -> None:
    """Limit this process's memory and write no core dumps, where the system supports it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError):  # a lower limit is set already, or the system has no such limit
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))


def _serve(server: BinaryIO, task: dict) -> None:
    _limit_next()
    try:
        for result in WORK[task.pop("work")](**task):
            if isinstance(result, str):
                _send(server, TEXT, result.encode())
            else:
                _send(server, SAMPLES, result.data.cast("B"))
        _send(server, END)
    except AudioError as error:
        _send(server, ERROR, str(error).encode())


def _send(server: BinaryIO, kind: bytes, content: bytes | memoryview = b"") -> None:
    server.write(HEADER.pack(kind, len(content)))
    server.write(content)
    server.flush()
    _limit_next()


def _limit_next() -> None:
    """End this process if the next message takes more than `CPU_SECONDS` from now on; not on Windows."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
