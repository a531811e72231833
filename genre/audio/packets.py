"""Decode the packets of a track to frames; damaged packets are skipped and counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av

from genre.errors import AudioError

SPARE_PACKETS, MIN_PACKET_SECONDS = 20_000, 0.001  # more packets than recordings have would take hours
PROTECTED_TAGS = {"drms", "enca", "aavd"}  # sample entries of FairPlay, Common Encryption (ISO/IEC 23001-7), Audible
PROTECTED_DATA: Final = "encryption_info"  # side data of encrypted packets
ESTIMATED = {"mp3", "aac"}  # formats without an index: FFmpeg estimates their duration from size and bit rate
TOO_LONG = 1.1  # ratio of declared and estimated duration from which the declared one is not that estimate
COMPLETE_FRACTION = 0.9  # decoded, from which there is no note, since durations in headers are seldom exact
MIN_FRACTION = 0.1  # decoded, below which a file is refused: the rest may be artefacts of the damage


@dataclass
class Tally:
    """Counts of the packets of a file.

    Attributes:
        packets: number of packets read.
        seconds: decoded.
        decoded, lost: bytes of packets that were decoded, and that could not be.
    """

    packets: int = 0
    seconds: float = 0.0
    decoded: int = 0
    lost: int = 0

    @property
    def decoded_fraction(self) -> float:
        """Fraction of the bytes that were decoded, 0..1."""
        return self.decoded / (self.decoded + self.lost) if self.decoded + self.lost else 1.0


def frames(container: av.container.InputContainer, track: av.AudioStream, tally: Tally) -> Iterator[av.AudioFrame]:
    """Decoded frames. A damaged packet is skipped; a truncated file ends where it is cut.

    Raises:
        AudioError: the track is copy-protected, or consists of too many packets.
    """
    if track.codec_context is None:  # FFmpeg has no decoder for it
        return
    if _tag(track.codec_context) in PROTECTED_TAGS:
        raise _protected()
    packets = container.demux(track)
    while True:
        tally.packets += 1
        if tally.packets > SPARE_PACKETS + tally.seconds / MIN_PACKET_SECONDS:
            raise AudioError("This file is chopped too finely to be a recording, or most of it is damaged.")
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError, OSError):
            return
        if packet.has_sidedata(PROTECTED_DATA):
            raise _protected()
        try:
            found = packet.decode()
        except (av.FFmpegError, OSError):
            tally.lost += packet.size
            continue
        tally.decoded += packet.size
        tally.seconds += sum(frame.samples / frame.sample_rate for frame in found)
        yield from found


def _tag(codec: av.CodecContext) -> str:
    """Four characters that name the codec in its container; empty where a damaged header has others than ASCII."""
    try:
        return codec.codec_tag
    except UnicodeDecodeError:
        return ""


def _protected() -> AudioError:
    return AudioError("This file is copy-protected.")


def declared_seconds(container: av.container.InputContainer, track: av.AudioStream, damaged: bool) -> float | None:
    """Duration of a track by its headers, in seconds; None where there is none, or where it is FFmpeg's estimate.

    Args:
        damaged: whether packets were lost; then the estimate is returned too.
    """
    if track.codec_context is None:
        return None
    if track.duration is not None and track.time_base is not None:
        seconds = float(track.duration * track.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        seconds = container.duration / av.time_base
    else:
        return None
    by_size = container.size * 8 / track.bit_rate if track.bit_rate else seconds
    estimated = container.format.name in ESTIMATED and seconds < TOO_LONG * by_size
    return None if estimated and not damaged else seconds


def completeness(decoded: float, expected: float | None, tally: Tally) -> str | None:
    """A sentence on how much of a file was decoded; None where that is `COMPLETE_FRACTION` of it or more.

    Args:
        decoded: seconds decoded of the requested range.
        expected: seconds of that range by the file's headers; None where they give no duration.

    Raises:
        AudioError: less than `MIN_FRACTION` of the bytes was decoded.
    """
    expected = decoded / max(tally.decoded_fraction, 1e-9) if expected is None else expected
    if decoded >= COMPLETE_FRACTION * expected:
        return None
    amount = f"{_rounded(decoded)} of {_rounded(expected)} s"
    if tally.decoded_fraction < MIN_FRACTION:
        raise AudioError(f"This file is damaged: only {amount} could be decoded.")
    return f"Only {amount} could be decoded."


def _rounded(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"
