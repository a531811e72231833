"""Pipes as input: `python -m genre -`, `<(command)` and FIFOs.

They are copied to a temporary file first, since the decoder seeks.
"""

import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory

from genre.errors import AudioError

STDIN = ("-", "/dev/stdin")
MAX_BYTES = 2**31  # of a pipe: three hours of uncompressed CD audio
NO_WRITER_SECONDS = 3  # timeout for a process to open a FIFO for writing
PAUSE_SECONDS = 60  # timeout for the next bytes
CHUNK_BYTES = 2**16


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """A file to decode: a temporary copy of a pipe, deleted when the context ends, or `path` itself if it is no pipe.

    Raises:
        AudioError: the path is a device or the like; nothing comes through the pipe, or more than `MAX_BYTES`; or the
            temporary file cannot be written.
    """
    pipe, timeout = (_stdin(), PAUSE_SECONDS) if str(path) in STDIN else (_fifo(path), NO_WRITER_SECONDS)
    if pipe is None:
        yield path
        return
    with pipe, ExitStack() as stack:
        try:
            copy = Path(stack.enter_context(TemporaryDirectory(prefix="genre-")), "pipe")
            with copy.open("wb") as file:
                for chunk in _chunks(pipe, timeout):
                    file.write(chunk)
        except OSError as error:
            raise AudioError(f"This pipe cannot be read into a temporary file: {error.strerror}.") from error
        yield copy


def _fifo(path: Path) -> FileIO | None:
    """The FIFO, opened without blocking; None for a file, or where it cannot be opened, which the decoder reports."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            return FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except (OSError, ValueError):
        return None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise AudioError("This is neither a file nor a pipe.")
    return None


def _stdin() -> FileIO:
    if sys.stdin is None:
        raise AudioError("Standard input is closed.")
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)):
        raise AudioError("Standard input is neither a file nor a pipe.")
    return FileIO(sys.stdin.fileno(), closefd=False)


def _chunks(pipe: FileIO, timeout: float) -> Iterator[bytes]:
    """The content of a pipe, to its end.

    Args:
        timeout: seconds to wait for the first bytes; if it is less than `PAUSE_SECONDS`, the pipe must be non-blocking,
            so that reading it tells whether a writer has opened it.
    """
    total = 0
    while True:
        ready = _ready(pipe, timeout)
        if not ready and timeout == PAUSE_SECONDS:
            raise AudioError(f"Nothing came through this pipe for {PAUSE_SECONDS} seconds.")
        timeout = PAUSE_SECONDS
        chunk = pipe.read(CHUNK_BYTES)
        if chunk is None:  # a writer has opened it and written nothing yet
            continue
        if not chunk and not ready:
            raise AudioError(f"Nobody has opened this pipe for writing for {NO_WRITER_SECONDS} seconds.")
        if not chunk and not total:
            raise AudioError("Nothing came through this pipe.")
        if not chunk:
            return
        total += len(chunk)
        if total > MAX_BYTES:
            raise AudioError(f"More than {MAX_BYTES / 2**30:g} GiB came through this pipe; save it as a file.")
        yield chunk


def _ready(pipe: FileIO, seconds: float) -> bool:
    """Wait for bytes or for the end of the pipe; False after the timeout, in seconds."""
    try:
        return bool(select.select([pipe], [], [], seconds)[0])
    except OSError:  # select on Windows takes sockets only; reading blocks instead
        return True
