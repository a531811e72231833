"""A recording, where it comes from (a file, a pipe, bytes or samples in memory), and how it is cut into clips.

Files are decoded in another process (`genre.audio.worker`), so that one that crashes or hangs the decoder raises an
AudioError and stops nothing else. What comes through a pipe is copied to a temporary file first, since decoders seek.
"""

import itertools
import json
import math
import os
import select
import shutil
import stat
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from genre.audio import worker
from genre.audio.decode import stream_array
from genre.audio.folders import Tags
from genre.errors import AudioError
from genre.files import printable

if TYPE_CHECKING:
    from torch import Tensor

CLIP_SECONDS = 30.0  # the levels of a clip's windows are relative to its loudest cell, as in FMA-small's 30 s tracks
TAIL_SECONDS = 0.1  # a remainder up to this length, such as an encoder's padding, gets no window
STDIN = ("-", "/dev/stdin")
MAX_BYTES = 2**31  # of a pipe: three hours of uncompressed CD audio
NO_WRITER_SECONDS = 3  # timeout for a process to open a FIFO for writing
PAUSE_SECONDS = 60  # timeout for the next bytes
CHUNK_BYTES = 2**16


class Audio:
    """A recording.

    Args:
        source: path of an audio file or of a video with a sound track, or of a FIFO; "-" for standard input; a binary
            file object or bytes of such a file; or samples of shape (samples,) or (channels, samples), floating point
            with a full scale of 1 or integers with that of their type. What comes through a pipe can be read as often
            as a file, for as long as this object exists.
        sample_rate: of samples, in Hz; None for all others.

    Attributes:
        name: of the file, printable; "standard input" for that, and empty for bytes and samples.
        notes: a sentence for each deviation that the user should know of, complete once the pieces have been read:
            which of multiple tracks was decoded, how channels or levels were changed, which gaps there are, how much
            could not be decoded.

    Raises:
        TypeError: the source is something else.
        ValueError: samples have no rate, or anything else has one.
    """

    def __init__(
        self, source: "str | os.PathLike | bytes | BinaryIO | np.ndarray | Tensor", sample_rate: int | None = None
    ):
        self.notes: list[str] = []
        self._samples: np.ndarray | None = None
        self._sample_rate = sample_rate
        self._source: Path | bytes | BinaryIO
        self._copy: Path | None = None
        if hasattr(source, "cpu"):
            source = cast("Tensor", source).detach().cpu().numpy()
        if isinstance(source, np.ndarray):
            if sample_rate is None:
                raise ValueError("samples need their sample_rate, in Hz")
            self._samples = source
        elif sample_rate is not None:
            raise ValueError("a file has a sample rate of its own")
        elif isinstance(source, str | os.PathLike):
            self._source = Path(source)
        elif isinstance(source, bytes) or hasattr(source, "read"):
            self._source = source
        else:
            raise TypeError(f"a recording is a path, a file object, bytes or an array of samples, not {type(source)}")

    @property
    def name(self) -> str:
        if self._samples is not None or not isinstance(self._source, Path):
            return ""
        return "standard input" if str(self._source) in STDIN else printable(self._source.name)

    @cached_property
    def tags(self) -> Tags:
        """What the headers of the file say; empty for samples, and for a file that is damaged or missing."""
        if self._samples is None:
            with suppress(AudioError):
                (tags,) = worker.run("tags", self._file())
                return Tags(**json.loads(cast(str, tags)))
        return Tags()

    def pieces(self, rate: int, *, start: float = 0.0, seconds: float | None = None) -> Iterator[np.ndarray]:
        """Decode the recording piece by piece, so that one of any length fits in memory.

        Args:
            rate: wanted sample rate, in Hz.
            start, seconds: where the wanted excerpt begins and how long it is at most, in seconds; by default it is the
                whole recording.

        Returns:
            an iterator of mono pieces of about 10 s, float32, shape (samples,), that appends to `notes`.

        Raises:
            AudioError: nothing, or nearly nothing, can be decoded; also after some pieces.
            ValueError: `start` or `seconds` is out of range, or samples have another shape, type or rate.
        """
        if not (0 <= start < math.inf and (seconds is None or 0 < seconds < math.inf)):
            raise ValueError(f"start must be at least 0 and seconds above 0, not {start} and {seconds}")
        if self._samples is None:
            decoded = worker.run("stream", self._file(), rate=rate, start=start, seconds=seconds)
        else:
            decoded = stream_array(self._samples, self._sample_rate or 0, rate, start, seconds)
        return self._without_notes(decoded)

    def _without_notes(self, decoded: "Iterator[np.ndarray | str]") -> Iterator[np.ndarray]:
        self.notes = []
        for one in decoded:
            if isinstance(one, str):
                self.notes.append(one)
            else:
                yield one

    def write_playback(self, target: Path, seconds: float, wanted: Callable[[], bool]) -> str | None:
        """Write what a browser plays in place of the file, see `genre.audio.playback`.

        Args:
            target: file to be written.
            seconds: maximum length.
            wanted: asked every few seconds of the recording; once it returns False the work ends.

        Returns:
            the suffix, without a dot, that belongs to the copy; None where the work has ended before.

        Raises:
            AudioError: the recording cannot be decoded, or the copy cannot be written.
        """
        suffix = None
        for one in worker.run("playback", self._file(), target=str(target.absolute()), seconds=seconds):
            if isinstance(one, str):
                suffix = one
            elif not wanted():
                break
        return suffix

    def samples(self, rate: int, *, start: float = 0.0, seconds: float | None = None) -> np.ndarray:
        """All `pieces` in one, float32, shape (samples,)."""
        return np.concatenate(list(self.pieces(rate, start=start, seconds=seconds)))

    def clips(
        self,
        rate: int,
        window_seconds: float,
        hop_seconds: float,
        *,
        start: float = 0.0,
        seconds: float | None = None,
    ) -> Iterator["Clip"]:
        """The clips of the recording, or of an excerpt, see `cut_clips`; times are those of the recording. Arguments
        and errors are those of `pieces` and `cut_clips`."""
        return cut_clips(self.pieces(rate, start=start, seconds=seconds), rate, window_seconds, hop_seconds, start)

    def _file(self) -> Path:
        """The file to decode: the source itself, or a copy of what is read from it, which goes with this object.

        Raises:
            AudioError: the source is a device or the like, nothing comes through the pipe, or more than `MAX_BYTES`, or
                the copy cannot be written.
        """
        source = self._source
        if self._copy:
            return self._copy
        if isinstance(source, Path):
            pipe, timeout = _stdin() if str(source) in STDIN else _fifo(source)
            if pipe is None:
                return source
            with pipe:
                self._copy = self._copied(_chunks(pipe, timeout))
        elif isinstance(source, bytes):
            self._copy = self._copied([source])
        else:
            self._copy = self._copied(iter(lambda: source.read(CHUNK_BYTES), b""))
        return self._copy

    def _copied(self, chunks: Iterable[bytes]) -> Path:
        """Write chunks to a temporary file, which is deleted with this object."""
        total = 0
        try:
            folder = tempfile.mkdtemp(prefix="genre-")
            delete = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            copy = Path(folder, "pipe")
            try:
                with copy.open("wb") as file:
                    for chunk in chunks:
                        total += file.write(chunk)
                        if total > MAX_BYTES:
                            raise AudioError(
                                f"More than {MAX_BYTES / 2**30:g} GiB came through this pipe; save it as a file."
                            )
            except BaseException:
                delete()
                raise
        except OSError as error:
            raise AudioError(f"This pipe cannot be read into a temporary file: {error.strerror}.") from error
        return copy


def _fifo(path: Path) -> tuple[FileIO | None, float]:
    """The FIFO, opened without blocking, and the timeout for its first bytes, in seconds; None for a file, or where it
    cannot be opened, which the decoder reports."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            return FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK)), NO_WRITER_SECONDS
    except (OSError, ValueError):
        return None, 0.0
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise AudioError("This is neither a file nor a pipe.")
    return None, 0.0


def _stdin() -> tuple[FileIO, float]:
    """Standard input, and the timeout for its first bytes, in seconds."""
    if sys.stdin is None:
        raise AudioError("Standard input is closed.")
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)):
        raise AudioError("Standard input is neither a file nor a pipe.")
    return FileIO(sys.stdin.fileno(), closefd=False), PAUSE_SECONDS


def _chunks(pipe: FileIO, timeout: float) -> Iterator[bytes]:
    """The content of a pipe, to its end.

    Args:
        timeout: seconds to wait for the first bytes; if it is less than `PAUSE_SECONDS`, the pipe must be non-blocking,
            so that reading it tells whether a writer has opened it.
    """
    empty = True
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
        if not chunk and empty:
            raise AudioError("Nothing came through this pipe.")
        if not chunk:
            return
        empty = False
        yield chunk


def _ready(pipe: FileIO, seconds: float) -> bool:
    """Wait for bytes or for the end of the pipe; False after the timeout, in seconds."""
    try:
        return bool(select.select([pipe], [], [], seconds)[0])
    except OSError:  # select on Windows takes sockets only; reading blocks instead
        return True


@dataclass(frozen=True)
class Clip:
    """At most 30 s of a recording and the windows in it that are classified together.

    Attributes:
        waveform: mono, float32, shape (samples,), repeated to fill at least one window.
        start: of the waveform in the recording, in seconds.
        window_starts: in the recording, in seconds.
        end: where in the recording the audio ends that was read when this clip was cut, in seconds.
        goes_on: whether another clip is certain to follow.
    """

    waveform: np.ndarray
    start: float
    window_starts: list[float]
    end: float
    goes_on: bool = False


def windows_per_clip(window_seconds: float, hop_seconds: float) -> int:
    """Windows in a clip of `CLIP_SECONDS`; the next clip starts as many hops later."""
    return int((CLIP_SECONDS - window_seconds) / hop_seconds + 1e-6) + 1


def window_starts(seconds: float, window_seconds: float, hop_seconds: float) -> list[float]:
    """Starts of the windows that cover a recording, in seconds: every hop, and one more that ends with the recording.

    A remainder of up to `TAIL_SECONDS` is not covered. A recording shorter than a window has one window, at 0.
    """
    last = max(0.0, seconds - window_seconds)
    starts = [i * hop_seconds for i in range(int(last / hop_seconds + 1e-6) + 1)]
    if last - starts[-1] > TAIL_SECONDS:
        starts.append(last)
    return starts


def cut_clips(
    pieces: Iterable[np.ndarray], rate: int, window_seconds: float, hop_seconds: float, start: float = 0.0
) -> Iterator[Clip]:
    """Cut a stream of samples into clips like those of training.

    A clip is 30 s long, and the levels of its windows are relative to its loudest cell. The last clip ends with the
    recording and overlaps the one before, so that it is 30 s long too. Every window lies in its clip, and together they
    cover all but a remainder of `TAIL_SECONDS`. All pieces have been taken when the last clip is yielded.

    Args:
        pieces: mono, float32, shape (samples,) each.
        rate: sample rate, in Hz.
        window_seconds, hop_seconds: length of a window, and distance of the starts of two, in seconds.
        start: of the first sample in the recording, in seconds, to which all times of the clips are relative.

    Raises:
        AudioError: the stream holds no samples.
    """
    clip_samples = round(CLIP_SECONDS * rate)
    per_clip = windows_per_clip(window_seconds, hop_seconds)
    buffer, origin, next_start = np.zeros(0, np.float32), 0, 0.0  # its first sample, start of the next window (s)
    ahead = round(TAIL_SECONDS * rate) + 1  # samples after a clip that make another one certain
    for piece in itertools.chain(pieces, [None]):
        if piece is None:
            ahead = 0
        else:
            buffer = np.concatenate([buffer, piece])
        while origin + len(buffer) >= (first := round(next_start * rate)) + clip_samples + ahead:
            starts = [start + next_start + i * hop_seconds for i in range(per_clip)]
            waveform = buffer[first - origin : first - origin + clip_samples]
            yield Clip(waveform, start + next_start, starts, start + next_start + CLIP_SECONDS, goes_on=ahead > 0)
            next_start += per_clip * hop_seconds
            spent = max(0, round(next_start * rate) - clip_samples - origin)
            buffer, origin = buffer[spent:], origin + spent
    total = (origin + len(buffer)) / rate
    if total == 0:
        raise AudioError("This recording holds no sound.")
    starts = _remaining_starts(total, next_start, window_seconds, hop_seconds)
    if starts:
        waveform = buffer[-clip_samples:]
        waveform_start = start + total - len(waveform) / rate
        starts = [start + at for at in starts]
        # Repeated to a window at least; silence as padding does not occur in training.
        repeated = np.resize(waveform, max(len(waveform), round(window_seconds * rate)))
        yield Clip(repeated, waveform_start, starts, start + total)


def _remaining_starts(total: float, next_start: float, window_seconds: float, hop_seconds: float) -> list[float]:
    """Starts of windows from `next_start` to the end of a recording, in seconds; the last one ends with it."""
    if next_start == 0 or total - next_start >= window_seconds:
        return [next_start + at for at in window_starts(total - next_start, window_seconds, hop_seconds)]
    covered = next_start - hop_seconds + window_seconds
    return [total - window_seconds] if total - covered > TAIL_SECONDS else []
