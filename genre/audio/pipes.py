"""Pipes as input: `python -m genre -`, `<(command)` and FIFOs.

They are read into a temporary file first, since decoding goes back and forth in a file.
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
MAX_BYTES = 2**31  # of a pipe: three hours of sound as on a CD
NO_WRITER_SECONDS = 3  # for somebody to open the other end of a FIFO
PAUSE_SECONDS = 60  # for the next bytes, or the first ones
CHUNK_BYTES = 2**16


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """A file to decode: what came through a pipe, for as long as the context lasts, or `path` itself if it is none.

    Raises:
        AudioError: this is a device or the like; nothing comes through the pipe, or more than `MAX_BYTES`; or the
            temporary folder has no room for it.
    """
    pipe, patience = (_stdin(), PAUSE_SECONDS) if str(path) in STDIN else (_fifo(path), NO_WRITER_SECONDS)
    if pipe is None:
        yield path
        return
    with pipe, ExitStack() as stack:
        try:
            copy = Path(stack.enter_context(TemporaryDirectory(prefix="genre-")), "pipe")
            with copy.open("wb") as file:
                for chunk in _chunks(pipe, patience):
                    file.write(chunk)
        except OSError as error:
            raise AudioError(f"This pipe cannot be read into a temporary file: {error.strerror}.") from error
        yield copy


def _fifo(path: Path) -> FileIO | None:
    """A pipe that does not block; None where this is a file, or nothing that can be opened, as the decoder will say."""
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


def _chunks(pipe: FileIO, patience: float) -> Iterator[bytes]:
    """What comes through a pipe, to its end.

    Args:
        patience: seconds to wait first; if that is less than `PAUSE_SECONDS`, the pipe must not block, which tells
            whether there is a writer by then.
    """
    total = 0
    while True:
        ready = _ready(pipe, patience)
        if not ready and patience == PAUSE_SECONDS:
            raise AudioError(f"Nothing came through this pipe for {PAUSE_SECONDS} seconds.")
        patience = PAUSE_SECONDS
        chunk = pipe.read(CHUNK_BYTES)
        if chunk is None:  # there is a writer, who has written nothing yet
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
    """Wait for something to read, or for the end."""
    try:
        return bool(select.select([pipe], [], [], seconds)[0])
    except OSError:  # Windows cannot tell; reading waits instead
        return True
