"""Playback copies: what a browser plays in place of a recording, on the time axis of the decoder.

Browsers play few of the formats that the decoder reads and seek exactly in fewer: in mp3 of variable bit rate Chromium
lands seconds to half a minute away, and of chained Ogg it plays the first part. Therefore packets are copied into a
container with an index where each lies where the decoder has it; everything else is encoded anew from what the decoder
returns.
"""

import os
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

from genre.audio.containers import parts
from genre.audio.decode import Decoder, open_container, open_file
from genre.audio.levels import FULL_SCALE_LIMIT
from genre.errors import AudioError

# Containers of the codecs that browsers play: FFmpeg's name and the suffix, in which Chromium seeks exactly.
CONTAINERS = {
    **dict.fromkeys(("mp3", "aac", "flac", "opus"), "mp4"),
    **dict.fromkeys(("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le"), "wav"),
    "vorbis": "ogg",
}
AAC_PROFILES = {"LC", "HE-AAC", "HE-AACv2"}  # that browsers play
RATES, CHANNELS = range(8_000, 192_001), (1, 2)  # Hz, of a copy of packets
TOLERANCE = 0.05  # s, between the time stamp of a frame and the end of the frame before it
PROGRESS_SECONDS = 10.0  # between two signs of progress
RATE, BIT_RATE = 44_100, 160_000  # Hz and bit/s of what is encoded anew: 36 MB for half an hour


class _InexactError(Exception):
    """A copy of the packets would not play, or not on the axis of the decoder."""


def write(path: str | os.PathLike, target: str | os.PathLike, seconds: float) -> Iterator[np.ndarray | str]:
    """Write the playback copy of a recording.

    Args:
        path: of the recording.
        target: file to be written.
        seconds: maximum length.

    Yields:
        seconds that have been written, every `PROGRESS_SECONDS` or so, float32, shape (1,); at the end the suffix that
        belongs to the copy, without a dot.

    Raises:
        AudioError: the recording cannot be decoded, or the copy cannot be written.
    """
    try:
        try:
            suffix = yield from _copy(path, target, seconds)
        except (_InexactError, av.FFmpegError, ValueError, OverflowError):
            suffix = yield from _encode(path, target, seconds)
    except (av.FFmpegError, OSError) as error:
        raise AudioError("The copy for playback cannot be written.") from error
    yield suffix


def _copy(path: str | os.PathLike, target: str | os.PathLike, seconds: float) -> Generator[np.ndarray, None, str]:
    """As `write`, packet by packet; returns the suffix.

    Raises:
        _InexactError: the copy would not play, or not on the axis of the decoder.
        av.FFmpegError: a packet cannot be decoded, or the container does not take it.
    """
    with open_file(path) as file:
        part, *others = parts(file)
        with open_container(part) as source:
            track, *other_tracks = source.streams.audio
            suffix = _container(track)
            if others or other_tracks or suffix is None:
                raise _InexactError
            with av.open(os.fspath(target), "w", format=suffix) as copy:
                output, due = copy.add_stream_from_template(track), PROGRESS_SECONDS
                for packet, end in _sound_packets(source, track):
                    packet.stream = output
                    copy.mux(packet)
                    if end >= due:
                        yield np.array([end], np.float32)
                        due = end + PROGRESS_SECONDS
                    if end >= seconds:
                        break
    return suffix


def _container(track: av.AudioStream) -> str | None:
    """Container for a copy of the packets; None where browsers do not play the codec."""
    context = track.codec_context
    if context is None or context.sample_rate not in RATES or context.layout.nb_channels not in CHANNELS:
        return None
    codec = context.codec.canonical_name
    return None if codec == "aac" and context.profile not in AAC_PROFILES else CONTAINERS.get(codec)


def _sound_packets(source: av.container.InputContainer, track: av.AudioStream) -> Iterator[tuple[av.Packet, float]]:
    """Packets, on an axis that begins with the first frame, and the end in seconds of what they decode to.

    All are decoded, which takes a thousandth of their duration.

    Raises:
        _InexactError: a packet has no time, or what it decodes to changes its format or is not where it should be.
    """
    origin, end, shape = 0.0, 0.0, None
    waiting: list[av.Packet] = []  # before the first frame
    for packet in source.demux(track):
        for frame in packet.decode():
            if shape is None:
                origin, shape = frame.time or 0.0, (frame.sample_rate, frame.layout.name)
            late = frame.time is None or abs(frame.time - origin - end) > TOLERANCE
            if late or abs(origin) > TOLERANCE or shape != (frame.sample_rate, frame.layout.name):
                raise _InexactError
            end += frame.samples / frame.sample_rate
        if packet.size:  # the last one is empty, for frames that the decoder has held back
            waiting.append(packet)
        if shape is None:
            continue
        for one in waiting:
            if one.pts is None or one.dts is None or one.time_base is None or one.is_corrupt:
                raise _InexactError
            shift = round(origin / one.time_base)
            one.pts, one.dts = one.pts - shift, one.dts - shift
            yield one, end
        waiting.clear()
    if not end:
        raise _InexactError


def _encode(path: str | os.PathLike, target: str | os.PathLike, seconds: float) -> Generator[np.ndarray, None, str]:
    """As `write`, by decoder and encoder; returns the suffix."""
    with open_file(path) as file, av.open(os.fspath(target), "w", format="mp4") as copy:
        track = copy.add_stream("aac", rate=RATE, layout="stereo")
        track.bit_rate = BIT_RATE
        samples = 0
        for piece in Decoder(file).pieces(RATE, 0.0, seconds, _stereo):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece.T), format="fltp", layout="stereo")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), samples
            samples += len(piece)
            copy.mux(track.encode(frame))
            yield np.array([samples / RATE], np.float32)
        copy.mux(track.encode(None))
    return "mp4"


def _stereo(blocks: Iterable[np.ndarray], *_: object) -> Iterator[np.ndarray]:
    """Two channels as they are, others mixed to two equal ones; blocks far beyond full scale are scaled to it."""
    for block in blocks:
        pair = block if block.shape[1] == 2 else block.mean(axis=1, keepdims=True).repeat(2, axis=1)
        pair = np.nan_to_num(pair, posinf=0.0, neginf=0.0)
        highest = np.abs(pair).max(initial=0.0)
        yield (pair / highest if highest > FULL_SCALE_LIMIT else pair).clip(-1.0, 1.0)
