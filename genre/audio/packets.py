"""Packets of a track to frames: what does not decode is skipped, and counted."""

from collections.abc import Iterator
from dataclasses import dataclass

import av

from genre.errors import AudioError

SPARE_PACKETS, MIN_PACKET_SECONDS = 20_000, 0.001  # an hour of packets of one sample, or of none, takes hours to decode
PROTECTED_TAGS = {"drms", "enca"}  # sample entries of FairPlay (QuickTime) and of Common Encryption (ISO/IEC 23001-7)
PROTECTED_DATA = "encryption_info"  # side data of encrypted packets
ESTIMATED = {"mp3", "aac"}  # formats without a table of contents: FFmpeg divides their size by a bit rate
TOO_LONG = 1.1  # by how much a claim must pass what fits into the file, so that it is no estimate
COMPLETE_PART = 0.9  # of a file that decodes from which nothing is said: durations in headers are seldom exact
LEAST_PART = 0.1  # of the sound of a file: a verdict on less is one on what the damage sounds like


@dataclass
class Tally:
    """What became of the packets of a file.

    Attributes:
        packets: how many were read.
        seconds: that were decoded.
        decoded, lost: bytes of packets that were decoded, and that were not.
    """

    packets: int = 0
    seconds: float = 0.0
    decoded: int = 0
    lost: int = 0

    @property
    def part(self) -> float:
        """Part of the bytes that were decoded."""
        return self.decoded / (self.decoded + self.lost) if self.decoded + self.lost else 1.0


def frames(container: av.container.InputContainer, track: av.AudioStream, tally: Tally) -> Iterator[av.AudioFrame]:
    """Frames that decode. A damaged packet is skipped; a file that breaks off ends where it breaks off.

    Raises:
        AudioError: the track is copy-protected, or consists of far too many packets.
    """
    if track.codec_context is None:  # FFmpeg has no decoder for it
        return
    if track.codec_context.codec_tag in PROTECTED_TAGS:
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


def _protected() -> AudioError:
    return AudioError("This file is copy-protected.")


def claimed_seconds(container: av.container.InputContainer, track: av.AudioStream, damaged: bool) -> float | None:
    """How long a file says that a track is, in seconds; None where it does not say, or where that is an estimate.

    Args:
        damaged: whether packets were lost; then an estimate says more than nothing.
    """
    if track.codec_context is None:
        return None
    if track.duration is not None:
        seconds = float(track.duration * track.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        seconds = container.duration / av.time_base
    else:
        return None
    room = container.size * 8 / track.bit_rate if track.bit_rate else seconds
    estimated = container.format.name in ESTIMATED and seconds < TOO_LONG * room
    return None if estimated and not damaged else seconds


def completeness(heard: float, expected: float | None, tally: Tally) -> str | None:
    """A sentence on how much of a file was decoded, where that is not all.

    Args:
        heard: that were decoded of what was asked for, in seconds.
        expected: that the file says to hold of it, in seconds; None where it does not say.

    Raises:
        AudioError: nearly nothing was decoded of what the file holds.
    """
    expected = heard / max(tally.part, 1e-9) if expected is None else expected
    if heard >= COMPLETE_PART * expected:
        return None
    said = f"{_rounded(heard)} of {_rounded(expected)} s"
    if tally.part < LEAST_PART:
        raise AudioError(f"This file is damaged: only {said} could be decoded.")
    return f"Only {said} could be decoded."


def _rounded(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"
