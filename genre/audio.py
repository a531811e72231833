"""Any audio file, or the sound track of a video, to mono float32 at a wanted rate, by PyAV (FFmpeg in a wheel)."""

import ctypes
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

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
BLOCK_SECONDS = 0.5  # mixed down at once
PRE_ROLL_SECONDS = 0.5  # decoded and thrown away before a wanted start
FULL_SCALE_LIMIT = 8.0  # float files may pass 1.0 a little; beyond this it is damage that would drown everything else
MIN_RATE, MAX_RATE = 1_000, 384_000  # Hz; a second at 1 Hz would be blown up to tens of thousands of samples
MAX_CHANNELS = 64  # as many as FFmpeg's resampler takes
MAX_ALLOCATION = 2**28  # bytes at once; a short header can promise an index, or unpack to a header, of gigabytes
SPARE_PACKETS, MIN_PACKET_SECONDS = 20_000, 0.001  # an hour of packets of one sample, or of none, takes hours to decode

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
        mono waveform, the mean of the channels, float32, shape (samples,).

    Raises:
        AudioError: nothing in the file can be heard; the message says why.
    """
    import torch  # here, since the processes of genre.worker do without its hundreds of megabytes

    return torch.from_numpy(np.concatenate(list(stream(path, rate, start=start, seconds=seconds))))


def stream(
    path: str | os.PathLike, rate: int, *, start: float = 0.0, seconds: float | None = None, piece_seconds: float = 10.0
) -> Iterator[np.ndarray]:
    """As `decode`, but in pieces of about `piece_seconds`, so that a file of any length fits in memory."""
    wanted = None if seconds is None else round(seconds * rate)
    sent, waiting, waiting_samples = 0, [], 0
    with _open(path) as container:
        for block in _mono_blocks(container, rate, start):
            if wanted is not None:
                block = block[: wanted - sent - waiting_samples]
            waiting.append(block)
            waiting_samples += len(block)
            full = wanted is not None and sent + waiting_samples >= wanted
            if full or waiting_samples >= piece_seconds * rate:
                yield np.concatenate(waiting)
                sent, waiting, waiting_samples = sent + waiting_samples, [], 0
            if full:
                break
        if waiting_samples:
            yield np.concatenate(waiting)
    if sent + waiting_samples == 0:
        raise AudioError(
            "This file holds no sound: its sound track is empty or breaks off before it begins."
            if start == 0
            else f"This file ends before {start:g} s."
        )


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[av.container.InputContainer]:
    """The file as an open container with a sound track. FFmpeg gets a file object, never a path or an address."""
    try:
        file = Path(path).open("rb")  # noqa: SIM115 (what goes wrong inside the with has other reasons)
    except (OSError, ValueError) as error:
        raise AudioError(f"{Path(path).name!r} cannot be opened: {_reason(error)}.") from error
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise AudioError("This file is empty.")
        try:
            container = av.open(file, options={"format_whitelist": FORMATS}, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise AudioError("This is not an audio file that can be read, or it is damaged.") from error
        with container:
            if not container.streams.audio:
                raise AudioError("This file has no sound track.")
            yield container


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    return "the path is not valid"


def _mono_blocks(container: av.container.InputContainer, rate: int, start: float) -> Iterator[np.ndarray]:
    """Mono float32 at `rate`, shape (samples,) each, from `start` seconds on."""
    track = container.streams.audio[0]
    origin = float((track.start_time or 0) * track.time_base)
    if start > 0:
        # A little earlier, since the first frames after a jump lean on ones that were not read (mp3, aac, opus).
        # Where a jump fails, or the file says it begins in a million years, all that is before the start is decoded.
        with suppress(av.FFmpegError, OSError, OverflowError):
            container.seek(int((origin + max(0.0, start - PRE_ROLL_SECONDS)) * av.time_base), backward=True)
    frames = _frames(container, track)
    first = next(frames, None)
    if first is None:
        return
    began = start if first.time is None else first.time - origin  # the first frame says where decoding really began
    skip = max(0, round((start - began) * rate))
    for block in _resampled(itertools.chain([first], frames), rate):
        yield block[skip:]
        skip = max(0, skip - len(block))


def _resampled(frames: Iterator[av.AudioFrame], rate: int) -> Iterator[np.ndarray]:
    """Mono blocks at `rate`, larger than a decoder's frames, since what is done for each of those adds up."""
    resampler, made_for = None, None
    for frame in frames:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != made_for:  # at the first frame, and where a broadcast changes its format on the way
            _check(frame)
            yield from map(_mono, resampler.resample(None) if resampler else ())
            resampler = av.AudioResampler(format="flt", rate=rate, frame_size=round(BLOCK_SECONDS * rate))
            made_for = shape
        yield from map(_mono, resampler.resample(frame))
    yield from map(_mono, resampler.resample(None))


def _check(frame: av.AudioFrame) -> None:
    if not MIN_RATE <= frame.sample_rate <= MAX_RATE:
        raise AudioError(
            f"This file claims {frame.sample_rate:,} samples a second; {MIN_RATE:,} to {MAX_RATE:,} can be heard."
        )
    if frame.layout.nb_channels > MAX_CHANNELS:
        raise AudioError(f"This file has {frame.layout.nb_channels} channels; at most {MAX_CHANNELS} can be heard.")


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """Mean of the channels (FFmpeg's own downmix is 3 dB louder), without NaN, infinity or absurd levels.

    Takes packed samples, since PyAV reads past the end of planar ones that have eight channels or more.
    """
    channels = frame.layout.nb_channels
    with np.errstate(all="ignore"):
        mono = frame.to_ndarray().reshape(-1, channels) @ np.full(channels, 1 / channels, np.float32)
    return np.nan_to_num(mono, posinf=0.0, neginf=0.0).clip(-FULL_SCALE_LIMIT, FULL_SCALE_LIMIT)


def _frames(container: av.container.InputContainer, track: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Frames that decode. A damaged packet is skipped; a file that breaks off ends where it breaks off."""
    packets, heard = container.demux(track), 0.0
    for count in itertools.count():
        if count > SPARE_PACKETS + heard / MIN_PACKET_SECONDS:
            raise AudioError("This file is chopped too finely to be a recording, or most of it is damaged.")
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError, OSError):
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError):
            continue
        heard += sum(frame.samples / frame.sample_rate for frame in frames)
        yield from frames
