"""Any audio file, or the sound track of a video, to mono float32 at a wanted rate, by PyAV (FFmpeg in a wheel)."""

import ctypes
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import av
import numpy as np

from genre.audio import ogg
from genre.audio.mixdown import mixed
from genre.audio.packets import COMPLETE_PART, Tally, claimed_seconds, completeness, frames
from genre.audio.silence import SILENCE
from genre.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

# Containers and raw streams that carry sound. The list keeps out playlists and the like (hls, dash, concat ...), which
# make FFmpeg open other files or the network.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv"
)
SUFFIXES = set(
    ".3g2 .3gp .3gpp .aac .ac3 .adts .afc .aif .aifc .aiff .amr .ape .asf .au .avi .awb .bwf .caf .eac3 .ec3 .f4a "
    ".f4v .flac .flv .isma .ismv .m2a .m2t .m2ts .m4a .m4b .m4p .m4r .m4v .mac .mj2 .mk3d .mka .mkv .mov .mp1 "
    ".mp2 .mp3 .mp4 .mpa .mpeg .mpg .mpga .mts .oga .ogg .ogv .ogx .opus .psp .qt .rf64 .snd .spx .ts .tta .vob "
    ".w64 .wav .wave .weba .webm .wma .wmv .wv".split()
)  # names of files in `FORMATS`, which are taken from folders; a file that is named is read whatever it is called
BLOCK_SECONDS = 0.5  # resampled at once
PRE_ROLL_SECONDS = 0.5  # decoded and thrown away before a wanted start
PROBE_SECONDS, PROBE_RATE = 300.0, 8_000  # decoded of a track to see whether it is silent, in Hz
MAX_PROBED = 8  # tracks of a file
MIN_RATE, MAX_RATE = 1_000, 384_000  # Hz; a second at 1 Hz would be blown up to tens of thousands of samples
MAX_CHANNELS = 64  # as many as FFmpeg's resampler takes
MAX_ALLOCATION = 2**28  # bytes at once; a short header can promise an index, or unpack to a header, of gigabytes

with suppress(AttributeError):  # PyAV has no call for this limit, and Windows does not find it this way
    ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION))


def decode(path: str | os.PathLike, rate: int, *, start: float = 0.0, seconds: float | None = None) -> "Tensor":
    """Read a file whole.

    Args:
        path: a file of any container and codec in `FORMATS`.
        rate: wanted sample rate, in Hz.
        start: where to begin, in seconds.
        seconds: how much to read at most; decoding stops there. None reads to the end.

    Returns:
        mono waveform, float32, shape (samples,): the mean of the channels, save where `genre.audio.mixdown` says
        otherwise.

    Raises:
        AudioError: nothing in the file can be decoded, or nearly nothing; the message says why.
    """
    import torch  # here, since the processes of genre.audio.worker do without its hundreds of megabytes

    return torch.from_numpy(np.concatenate(list(stream(path, rate, start=start, seconds=seconds))))


def stream(
    path: str | os.PathLike,
    rate: int,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    piece_seconds: float = 10.0,
    notes: list[str] | None = None,
) -> Iterator[np.ndarray]:
    """As `decode`, but in pieces of about `piece_seconds`, so that a file of any length fits in memory.

    Args:
        notes: gets a sentence, while the file is read, for everything about it that a person should know: which of
            several tracks was used, how channels or levels were changed, how much could not be decoded.
    """
    wanted = None if seconds is None else round(seconds * rate)
    sent, waiting, waiting_samples, full = 0, [], 0, False
    notes = [] if notes is None else notes
    with _open(path) as file:
        source = _Source(file, notes)
        for block in mixed(source.blocks(rate, start), notes):
            if wanted is not None:
                block = block[: wanted - sent - waiting_samples]
            waiting.append(block)
            waiting_samples += len(block)
            full = wanted is not None and sent + waiting_samples >= wanted
            if full or waiting_samples >= piece_seconds * rate:
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
        if note := completeness((sent + waiting_samples) / rate, source.expected(start, seconds), source.tally):
            notes.append(note)
        if waiting_samples:
            yield np.concatenate(waiting)


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file, if it is there and not empty."""
    try:
        file = Path(path).open("rb")  # noqa: SIM115 (what goes wrong inside the with has other reasons)
    except (OSError, ValueError) as error:
        raise AudioError(f"{Path(path).name!r} cannot be opened: {_reason(error)}.") from error
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise AudioError("This file is empty.")
        yield file


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    return "the path is not valid"


class _Source:
    """The sound of an open file: of the track that is used, or of the parts of a chained file one after the other.

    Attributes:
        tally: what became of its packets.
        claimed: how long the file says that it is, in seconds, once it has been read; None where it does not say.
    """

    def __init__(self, file: BinaryIO, notes: list[str]):
        self.parts, self.notes = ogg.parts(file), notes
        self.tally, self.claimed = Tally(), None

    def blocks(self, rate: int, start: float) -> Iterator[np.ndarray]:
        """Sound from `start` seconds on, float32 at `rate`, shape (samples, channels) each."""
        first, *others = self.parts
        number = _choose_track(first, self.notes)
        for part in self.parts:
            try:
                container = _container(part)
            except AudioError:
                if part is first:
                    raise
                continue  # a damaged part of a chain
            with container:
                track = container.streams.audio[number] if part is first else container.streams.best("audio")
                length = container.duration / av.time_base if container.duration else 0.0
                if part is not self.parts[-1] and length <= start and length > 0:
                    start -= length
                    continue
                yield from _blocks(container, track, rate, start, self.tally)
                start = 0.0
                if not others:
                    self.claimed = claimed_seconds(container, track, self.tally.part < COMPLETE_PART)

    def expected(self, start: float, seconds: float | None) -> float | None:
        """How much should be decoded from `start` on, at most `seconds`; None where the file does not say."""
        if self.claimed is None:
            return None
        rest = max(0.0, self.claimed - start)
        return rest if seconds is None else min(rest, seconds)


def _container(file: BinaryIO) -> av.container.InputContainer:
    """The file as a container with a sound track. FFmpeg gets a file object, never a path or an address."""
    try:
        file.seek(0)
        container = av.open(file, options={"format_whitelist": FORMATS}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError("This is not an audio file that can be read, or it is damaged.") from error
    if not container.streams.audio:
        container.close()
        raise AudioError("This file has no sound track.")
    return container


def _choose_track(file: BinaryIO, notes: list[str]) -> int:
    """Which of a file's sound tracks is used, from 0: FFmpeg's choice, which is the default one, unless it is silent.

    Then it is the first of the others that is not; where all are silent it stays the default one.
    """
    with _container(file) as container:
        tracks = container.streams.audio
        best = container.streams.best("audio")
        default = 0 if best is None else [track.index for track in tracks].index(best.index)
    if len(tracks) == 1:
        return 0
    order = [default, *(number for number in range(len(tracks)) if number != default)][:MAX_PROBED]
    chosen = next((number for number in order if _sounds(file, number)), default)
    reason = "the default one" if chosen == default else f"since track {default + 1} is silent"
    notes.append(f"Track {chosen + 1} of {len(tracks)} was used, {reason}.")
    return chosen


def _sounds(file: BinaryIO, number: int) -> bool:
    """Whether a track, counted from 0, is more than silence in its first minutes."""
    with _container(file) as container:
        seconds = 0.0
        try:
            for block in _blocks(container, container.streams.audio[number], PROBE_RATE, 0.0, Tally()):
                seconds += len(block) / PROBE_RATE
                if np.abs(block).max() >= SILENCE or seconds > PROBE_SECONDS:
                    return seconds <= PROBE_SECONDS
        except AudioError:  # if there is no better track, it will be raised again
            return False
    return False


def _blocks(
    container: av.container.InputContainer, track: av.AudioStream, rate: int, start: float, tally: Tally
) -> Iterator[np.ndarray]:
    """Sound of a track from `start` seconds on, float32 at `rate`, shape (samples, channels) each."""
    origin = float((track.start_time or 0) * track.time_base)
    if start > 0:
        # A little earlier, since the first frames after a jump lean on ones that were not read (mp3, aac, opus).
        # Where a jump fails, or the file says it begins in a million years, all that is before the start is decoded.
        with suppress(av.FFmpegError, OSError, OverflowError):
            container.seek(int((origin + max(0.0, start - PRE_ROLL_SECONDS)) * av.time_base), backward=True)
    decoded = frames(container, track, tally)
    first = next(decoded, None)
    if first is None:
        return
    began = start if first.time is None else first.time - origin  # the first frame says where decoding really began
    skip = max(0, round((start - began) * rate))
    for block in _resampled(itertools.chain([first], decoded), rate):
        if len(block) > skip:
            yield block[skip:]
        skip = max(0, skip - len(block))


def _resampled(decoded: Iterator[av.AudioFrame], rate: int) -> Iterator[np.ndarray]:
    """Blocks at `rate`, larger than a decoder's frames, since what is done for each of those adds up."""
    resampler, made_for = None, None
    for frame in decoded:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != made_for:  # at the first frame, and where a broadcast changes its format on the way
            _check(frame)
            yield from map(_packed, resampler.resample(None) if resampler else ())
            resampler = av.AudioResampler(format="flt", rate=rate, frame_size=round(BLOCK_SECONDS * rate))
            made_for = shape
        yield from map(_packed, resampler.resample(frame))
    yield from map(_packed, resampler.resample(None))


def _packed(frame: av.AudioFrame) -> np.ndarray:
    """Shape (samples, channels). PyAV reads past the end of planar samples that have eight channels or more."""
    return frame.to_ndarray().reshape(-1, frame.layout.nb_channels)


def _check(frame: av.AudioFrame) -> None:
    if not MIN_RATE <= frame.sample_rate <= MAX_RATE:
        raise AudioError(
            f"This file claims {frame.sample_rate:,} samples a second; {MIN_RATE:,} to {MAX_RATE:,} can be heard."
        )
    if frame.layout.nb_channels > MAX_CHANNELS:
        raise AudioError(f"This file has {frame.layout.nb_channels} channels; at most {MAX_CHANNELS} can be heard.")
