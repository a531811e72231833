"""Decode audio files and the audio tracks of videos to mono float32 at a wanted sample rate, by PyAV (FFmpeg)."""

import ctypes
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from genre.audio.containers import (
    GAP_SECONDS,
    Part,
    Tally,
    completeness,
    declared_end,
    frames,
    gaps,
    origin,
    parts,
    without_packed_sound,
)
from genre.audio.levels import SILENCE, Source, mixed
from genre.errors import AudioError
from genre.files import printable

# Containers and raw streams that carry audio. The list excludes playlists and the like (hls, dash, concat ...), which
# make FFmpeg open other files or network addresses.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv"
)
SUFFIXES = set(
    ".3g2 .3gp .3gpp .aac .ac3 .adts .afc .aif .aifc .aiff .amr .ape .asf .au .avi .awb .bwf .caf .eac3 .ec3 .f4a "
    ".f4v .flac .flv .isma .ismv .m2a .m2t .m2ts .m4a .m4b .m4p .m4r .m4v .mac .mj2 .mk3d .mka .mkv .mov .mp1 "
    ".mp2 .mp3 .mp4 .mpa .mpeg .mpg .mpga .mts .oga .ogg .ogv .ogx .opus .psp .qt .rf64 .snd .spx .ts .tta .vob "
    ".w64 .wav .wave .weba .webm .wma .wmv .wv".split()
)  # of files in `FORMATS`, by which folders are searched; a path given by the user is decoded whatever its suffix
ARCHIVES = (b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf")  # first bytes of zip, RAR and 7z
BLOCK_SECONDS = 0.5  # resampled in one call
PIECE_SECONDS = 10.0  # returned at once
PRE_ROLL_SECONDS = 0.5  # decoded and discarded before a wanted start
# Containers whose packets carry times. In the others FFmpeg counts samples, or estimates times by size and bit rate.
TIMED = {"asf", "flv", "matroska", "mov", "mpeg", "mpegts", "ogg"}
JOINED_SECONDS = 10.0  # backwards, from which a time is one of another file that was joined to this one
MAX_SILENCE = 3 * 3600.0  # s that are put into gaps of a file, since a few bytes can declare years
PROBE_SECONDS, PROBE_RATE = 300.0, 8_000  # s and Hz: decoded of a track to find out whether it is silent
MAX_PROBED = 8  # tracks of a file
MAX_SURVEYED, SURVEY_SAMPLES = 500_000, 128  # packets of a file, an hour and a half of floats; samples of a packet
FLOATS = {"flt", "fltp", "dbl", "dblp"}  # sample formats
MIN_RATE, MAX_RATE = 1_000, 384_000  # Hz; one sample at 1 Hz would be resampled to tens of thousands
MAX_CHANNELS = 64  # limit of FFmpeg's resampler
MAX_ALLOCATION = 2**28  # bytes that FFmpeg may allocate in one call

Mix = Callable[[Iterable[np.ndarray], Source], Iterator[np.ndarray]]  # as `mixed`

with suppress(AttributeError):  # PyAV has no call for this limit; on Windows the symbol is not exported
    ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION))


def stream(
    path: str | os.PathLike, rate: int, start: float = 0.0, seconds: float | None = None
) -> Iterator[np.ndarray | str]:
    """Decode a file, in pieces of about `PIECE_SECONDS`, so that one of any length fits in memory.

    Args:
        path: a file of any container and codec in `FORMATS`.
        rate: wanted sample rate, in Hz.
        start: where to begin, in seconds.
        seconds: maximum length, where decoding stops; None decodes to the end.

    Yields:
        mono pieces, float32, shape (samples,): the mean of the channels, except where `genre.audio.levels` says
        otherwise. Between them a sentence for each deviation that the user should know of: which of multiple tracks was
        decoded, how channels or levels were changed, which gaps there are, how much could not be decoded.

    Raises:
        AudioError: nothing, or nearly nothing, of the file can be decoded, also after some pieces; the message gives
            the reason.
    """
    with open_file(path) as file:
        decoder = Decoder(file)
        yield from _with_notes(decoder.pieces(rate, start, seconds), decoder.notes)


def stream_array(
    samples: np.ndarray, sample_rate: int, rate: int, start: float = 0.0, seconds: float | None = None
) -> Iterator[np.ndarray | str]:
    """As `stream`, of samples in memory.

    Args:
        samples: shape (samples,) or (channels, samples); floating point with a full scale of 1, or integers with the
            one of their type.
        sample_rate: of the samples, in Hz.

    Raises:
        ValueError: the samples have another shape or type, or the rate is out of range.
    """
    channels = np.atleast_2d(samples)
    if channels.ndim != 2 or not 0 < len(channels) <= MAX_CHANNELS or channels.dtype.kind not in "fiu":
        raise ValueError(f"samples must be numbers of shape (samples,) or (channels, samples), not {channels.shape}")
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise ValueError(f"sample_rate must be from {MIN_RATE} to {MAX_RATE} Hz, not {sample_rate}")
    first = round(start * sample_rate)
    last = None if seconds is None else first + round(seconds * sample_rate)
    packed = channels[:, first:last].T
    if channels.dtype.kind != "f":
        limits = np.iinfo(channels.dtype)
        middle = (limits.max + limits.min + 1) // 2  # 0, except where the type is unsigned
        packed = (packed.astype(np.float32) - middle) / (limits.max - middle + 1)
    source = _Samples(packed, sample_rate)
    return _with_notes(mixed(_resampled(source.frames(), rate), source), source.notes)


def _with_notes(pieces: Iterator[np.ndarray], notes: list[str]) -> Iterator[np.ndarray | str]:
    """Pieces, and in front of each one the notes that were appended while it was decoded."""
    sent = 0
    for piece in pieces:
        yield from notes[sent:]
        sent = len(notes)
        yield piece
    yield from notes[sent:]


class _Samples:
    """Samples in memory as a `genre.audio.levels.Source`.

    Args:
        packed: shape (samples, channels).
        rate: their sample rate, in Hz.
    """

    any_level = True

    def __init__(self, packed: np.ndarray, rate: int):
        self.packed, self.rate, self.notes = packed, rate, list[str]()

    def frames(self) -> Iterator[av.AudioFrame]:
        """Frames of a second."""
        for second in range(0, len(self.packed), self.rate):
            block = np.ascontiguousarray(self.packed[second : second + self.rate], dtype=np.float32)
            layout = f"{block.shape[1]} channels"
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
            frame.sample_rate = self.rate
            yield frame

    def survey(self) -> list[np.ndarray]:
        return [self.packed[:: max(1, len(self.packed) // MAX_SURVEYED)].astype(np.float32)]


@contextmanager
def open_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file or raise AudioError, also where it is empty or an archive."""
    try:
        file = Path(path).open("rb")  # noqa: SIM115 (errors inside the with block have other reasons)
        first_bytes = file.peek(4)[:4]
    except (OSError, ValueError) as error:
        raise AudioError(f"{printable(Path(path).name)!r} cannot be opened: {_reason(error)}.") from error
    with file:
        if not first_bytes:
            raise AudioError("This file is empty.")
        if first_bytes in ARCHIVES:  # FFmpeg would decode the first song that is stored in it
            raise AudioError("This is an archive: unpack it, and choose the songs in it.")
        yield file


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    return "the path is not valid"


class Decoder:
    """Decodes an open file: one of its tracks, or the parts of a chained file one after the other.

    Attributes:
        notes: see `stream`.
        any_level: whether the samples can be of any level, as in WAV of floats.
    """

    def __init__(self, file: BinaryIO):
        self.notes: list[str] = []
        self.any_level = False
        self._parts, self._number = parts(file), 0  # index of the track that is decoded
        self._tally = Tally()
        self._declared: float | None = None  # end by the file's headers, in seconds, once it has been decoded

    def pieces(self, rate: int, start: float, seconds: float | None, mix: Mix = mixed) -> Iterator[np.ndarray]:
        """The pieces of `stream`.

        Args:
            mix: turns the blocks of the decoder, shape (samples, channels), into those that are joined to pieces;
                called as `genre.audio.levels.mixed`.
        """
        wanted = None if seconds is None else round(seconds * rate)
        sent, waiting, waiting_samples, full = 0, [], 0, False
        for block in mix(self._blocks(rate, start), self):
            if wanted is not None:
                block = block[: wanted - sent - waiting_samples]
            waiting.append(block)
            waiting_samples += len(block)
            full = wanted is not None and sent + waiting_samples >= wanted
            if full or waiting_samples >= PIECE_SECONDS * rate:
                yield np.concatenate(waiting)
                sent, waiting, waiting_samples = sent + waiting_samples, [], 0
            if full:
                return
        if sent + waiting_samples == 0:
            raise AudioError(
                "This file holds no sound: its sound track is empty or breaks off before it begins."
                if start == 0
                else f"This file ends before {start:g} s."
            )
        expected = None
        if self._declared is not None:
            expected = min(max(0.0, self._declared - start), math.inf if seconds is None else seconds)
        covered = self._tally.covered(start, (sent + waiting_samples) / rate)
        self.notes += filter(None, (gaps(self._tally), completeness(covered, expected, self._tally)))
        if waiting_samples:
            yield np.concatenate(waiting)

    def _blocks(self, rate: int, start: float) -> Iterator[np.ndarray]:
        """Audio from `start` seconds on, float32 at `rate`, shape (samples, channels) each."""
        first, *others = self._parts
        for part in self._parts:
            try:
                container = open_container(part)
            except AudioError:
                if part is first:
                    raise
                continue  # a damaged part is left out
            number = _default_track(container)
            if part is first and len(container.streams.audio) > 1:
                container.close()  # choosing a track reads the file from its start
                number = self._choose_track(first)
                container = open_container(first)
            with container:
                track, self._number = container.streams.audio[number], number
                self.any_level = _lossless(track) and getattr(track.codec_context.format, "name", "") in FLOATS
                length = container.duration / av.time_base if container.duration else 0.0
                if part is not self._parts[-1] and length <= start and length > 0:
                    start -= length
                    continue
                yield from _blocks(container, track, rate, start, self._tally)
                start = 0.0
                if not others:
                    self._declared = declared_end(container, track, self._tally.damaged)

    def survey(self) -> list[np.ndarray]:
        """Short blocks from all over the file, float32 as they are stored, shape (samples, channels) each."""
        found: list[np.ndarray] = []
        for part in self._parts:
            # A copy, since the decoder keeps its place in the part.
            with suppress(AudioError), open_container(copy(part)) as container:
                found += _survey(
                    container, container.streams.audio[min(self._number, len(container.streams.audio) - 1)]
                )
        return found

    def _choose_track(self, file: Part) -> int:
        """Index of the audio track to decode: FFmpeg's choice, which is the default track, unless it is silent.

        Then it is the first other track that is not silent; where all are silent it is the default track.
        """
        with open_container(file) as container:
            tracks, default = len(container.streams.audio), _default_track(container)
        order = [default, *(number for number in range(tracks) if number != default)][:MAX_PROBED]
        chosen = next((number for number in order if _has_signal(file, number)), default)
        reason = "the default one" if chosen == default else f"since track {default + 1} is silent"
        self.notes.append(f"Track {chosen + 1} of {tracks} was used, {reason}.")
        return chosen


def open_container(file: Part) -> av.container.InputContainer:
    """Open a container with an audio track or raise AudioError. FFmpeg gets a file object, never a path or a URL."""
    try:
        file.seek(0)
        container = av.open(file, "r", options={"format_whitelist": FORMATS}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError("This is not an audio file that can be read, or it is damaged or incomplete.") from error
    if not container.streams.audio:
        container.close()
        raise AudioError("This file has no sound track.")
    return container


def _default_track(container: av.container.InputContainer) -> int:
    """Index of FFmpeg's choice among the audio tracks."""
    best = container.streams.best("audio")
    return 0 if best is None else [track.index for track in container.streams.audio].index(best.index)


def _has_signal(file: Part, number: int) -> bool:
    """Whether the track with this index exceeds `SILENCE` in its first `PROBE_SECONDS`."""
    with open_container(file) as container:
        tally = Tally()
        try:
            for block in _blocks(container, container.streams.audio[number], PROBE_RATE, 0.0, tally):
                if np.abs(block).max() >= SILENCE or tally.seconds > PROBE_SECONDS:
                    return tally.seconds <= PROBE_SECONDS
        except AudioError:  # decoding raises it again, if no other track is chosen
            return False
    return False


def _blocks(
    container: av.container.InputContainer, track: av.AudioStream, rate: int, start: float, tally: Tally
) -> Iterator[np.ndarray]:
    """Audio of a track from `start` seconds on, by `_Axis`, float32 at `rate`, shape (samples, channels) each."""
    axis = _Axis(container, track, start, tally)
    # First a little earlier, since the first frames after a seek depend on frames before them (mp3, aac, opus). Where
    # that lands behind the start, seeking was inexact or the start lies in a gap, and all before it is decoded.
    for at in (max(0.0, start - PRE_ROLL_SECONDS), 0.0):
        if start > 0:
            # Where seeking fails, or the time stamps overflow, everything before the start is decoded and discarded.
            with suppress(av.FFmpegError, OSError, OverflowError):
                container.seek(int((axis.origin + at) * av.time_base), backward=True)
        decoded = frames(container, track, tally)
        decoded = without_packed_sound(decoded) if _lossless(track) else decoded
        first = next(decoded, None)
        if first is None:
            return
        decoded = itertools.chain([first], decoded)
        if start == 0 or first.time is None or first.time - axis.origin <= start + GAP_SECONDS:
            break
    sent: int | None = None  # samples since the start; negative before it
    for begin, run in itertools.groupby(decoded, axis.begin):
        target = round((begin - start) * rate)
        sent = min(target, 0) if sent is None else sent
        for block in _resampled(run, rate):
            for piece in itertools.chain(_silence(target - sent, block.shape[1], rate), [block]):
                if sent + len(piece) > 0:
                    yield piece[max(0, -sent) :]
                sent += len(piece)


class _Axis:
    """What a time is: seconds after the start of the file, as in players, which is when its first track starts.

    A late start of the track and gaps between its packets are silence, so that windows, sections and reports name the
    times of the file. A time that goes back by `JOINED_SECONDS`, or that would take more than `MAX_SILENCE`, is that of
    another file that was joined to this one, which follows without a gap.

    Args:
        start: where the wanted excerpt begins, in seconds.
        tally: takes the seconds of the gaps.

    Attributes:
        origin: time stamp of the start of the file, in seconds.
    """

    def __init__(self, container: av.container.InputContainer, track: av.AudioStream, start: float, tally: Tally):
        self.origin = origin(container, track)
        self._timed = not TIMED.isdisjoint(container.format.name.split(","))
        self._start, self._tally = start, tally
        self._begin: float | None = None
        self._end = self._joined = 0.0  # where the sound so far ends, and what is added to times, in seconds

    def begin(self, frame: av.AudioFrame) -> float:
        """Where the sound began that the next frame continues without a gap, in seconds.

        For the first frame it is the start of the excerpt, or earlier, where seeking has landed there.
        """
        is_first = self._begin is None
        if self._begin is not None and not self._timed:
            return self._begin
        time = frame.time
        if self._begin is None:
            self._begin = self._end = self._start if time is None else min(time - self.origin, self._start)
        if time is not None:
            gap = time - self.origin + self._joined - self._end
            if gap < -JOINED_SECONDS or self._tally.silence + gap > MAX_SILENCE:
                self._joined -= gap
                self._tally.left_out += max(0.0, gap)
            elif gap > GAP_SECONDS:
                self._tally.silence += gap
                self._tally.gaps += 0.0 if is_first else gap
                self._begin = self._end = self._end + gap
        self._end += frame.samples / frame.sample_rate
        return self._begin


def _silence(samples: int, channels: int, rate: int) -> Iterator[np.ndarray]:
    """Blocks of zeros, shape (samples, channels) each; none where `samples` is not above 0."""
    while samples > 0:
        yield np.zeros((min(samples, round(BLOCK_SECONDS * rate)), channels), np.float32)
        samples -= round(BLOCK_SECONDS * rate)


def _lossless(track: av.AudioStream) -> bool:
    return track.codec_context is not None and track.codec_context.codec.lossless


def _survey(container: av.container.InputContainer, track: av.AudioStream) -> Iterator[np.ndarray]:
    """Short blocks from all over a track, see `Decoder.survey`: of lossless coding single packets, else a few in a row,
    of which the first ones, that depend on packets before them, are left out."""
    every, wanted, left_out = (8, 1, 0) if _lossless(track) else (64, 12, 8)
    if track.codec_context is None:
        return
    packets = itertools.islice(container.demux(track), MAX_SURVEYED)
    with suppress(av.FFmpegError, OSError):
        for number, packet in enumerate(packets):
            if number % every >= wanted:
                continue
            with suppress(av.FFmpegError, OSError):
                for frame in packet.decode() if packet.size else ():
                    if number % every >= left_out:
                        frame.pts = None
                        for converted in av.AudioResampler(format="flt").resample(frame):
                            block = _packed(converted)
                            yield block[:: max(1, block.size // SURVEY_SAMPLES)]


def _resampled(decoded: Iterator[av.AudioFrame], rate: int) -> Iterator[np.ndarray]:
    """Blocks at `rate`, shape (samples, channels), of `BLOCK_SECONDS`: fewer than frames, for less overhead."""
    fifo: av.AudioFifo | None = None
    resampler: av.AudioResampler | None = None
    made_for, block_samples = None, 0
    for frame in decoded:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        # Anew for the first frame, and where the format changes in the middle, as in broadcasts.
        if fifo is None or resampler is None or shape != made_for:
            _check(frame)
            yield from _rest(fifo, resampler)
            fifo, resampler = av.AudioFifo(), av.AudioResampler(format="flt", rate=rate)
            made_for, block_samples = shape, round(BLOCK_SECONDS * frame.sample_rate)
        frame.pts = None  # so that the resampler does not fill gaps a second time
        fifo.write(frame)
        while fifo.samples >= block_samples:
            yield from map(_packed, resampler.resample(fifo.read(block_samples)))
    yield from _rest(fifo, resampler)


def _rest(fifo: av.AudioFifo | None, resampler: av.AudioResampler | None) -> Iterator[np.ndarray]:
    """What is left in both once no frame follows, shape (samples, channels) each."""
    if fifo is None or resampler is None:
        return
    if fifo.samples:
        yield from map(_packed, resampler.resample(fifo.read()))
    yield from map(_packed, resampler.resample(None))


def _packed(frame: av.AudioFrame) -> np.ndarray:
    """Shape (samples, channels). Not planar: PyAV has crashed on planar frames."""
    return frame.to_ndarray().reshape(-1, frame.layout.nb_channels)


def _check(frame: av.AudioFrame) -> None:
    if not MIN_RATE <= frame.sample_rate <= MAX_RATE:
        raise AudioError(
            f"This file declares {frame.sample_rate:,} samples a second; {MIN_RATE:,} to {MAX_RATE:,} can be decoded."
        )
    if frame.layout.nb_channels > MAX_CHANNELS:
        raise AudioError(f"This file has {frame.layout.nb_channels} channels; at most {MAX_CHANNELS} can be decoded.")
