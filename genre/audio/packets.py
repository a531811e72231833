"""Decode the packets of a track to frames; damaged packets are skipped and counted."""

import math
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
GAP_SECONDS = 0.1  # between the times of packets, from which it is filled, as by FFmpeg's aresample=async=1
COMPLETE_FRACTION = 0.9  # decoded, from which there is no note, since durations in headers are seldom exact
MIN_FRACTION = 0.1  # decoded, below which a file is refused: the rest may be artefacts of the damage


@dataclass
class Tally:
    """Counts of the packets of a file.

    Attributes:
        packets: number of packets read.
        seconds: decoded.
        decoded, lost: bytes of packets that were decoded, and that could not be.
        silence: seconds without packets that were filled, of which `gaps` lie behind the first packet.
        left_out: seconds of gaps that were not filled.
        reached: latest time of the packets of other tracks, in seconds after the start of the file.
    """

    packets: int = 0
    seconds: float = 0.0
    decoded: int = 0
    lost: int = 0
    silence: float = 0.0
    gaps: float = 0.0
    left_out: float = 0.0
    reached: float = 0.0

    @property
    def decoded_fraction(self) -> float:
        """Fraction of the bytes that were decoded, 0..1."""
        return self.decoded / (self.decoded + self.lost) if self.decoded + self.lost else 1.0

    @property
    def damaged(self) -> bool:
        """Whether less than `COMPLETE_FRACTION` of the bytes was decoded."""
        return self.decoded_fraction < COMPLETE_FRACTION

    def covered(self, start: float, seconds: float) -> float:
        """Seconds of the file after `start` that the sound accounts for, of which `seconds` were sent.

        In a file that is not damaged it may end before other tracks do; in a damaged one, gaps are not sound.
        """
        return seconds - self.silence if self.damaged else max(seconds, self.reached - start)


def frames(container: av.container.InputContainer, track: av.AudioStream, tally: Tally) -> Iterator[av.AudioFrame]:
    """Decoded frames. A damaged packet is skipped; a truncated file ends where it is cut.

    Raises:
        AudioError: the track is copy-protected, or consists of too many packets.
    """
    if track.codec_context is None:  # FFmpeg has no decoder for it
        return
    if _tag(track.codec_context) in PROTECTED_TAGS:
        raise _protected()
    packets = container.demux()
    begin = origin(container, track)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError, OSError):
            return
        if packet.stream_index != track.index:
            if packet.pts is not None and packet.time_base is not None:
                tally.reached = max(tally.reached, float(packet.pts * packet.time_base) - begin)
            continue
        tally.packets += 1
        if tally.packets > SPARE_PACKETS + tally.seconds / MIN_PACKET_SECONDS:
            raise AudioError("This file is chopped too finely to be a recording, or most of it is damaged.")
        if packet.has_sidedata(PROTECTED_DATA):
            raise _protected()
        try:
            found = [frame for frame in packet.decode() if isinstance(frame, av.AudioFrame)]
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


def origin(container: av.container.InputContainer, track: av.AudioStream) -> float:
    """Time stamp of the start of a file, in seconds: of its first track, or of this one if it starts with that."""
    first = None if container.start_time is None else container.start_time / av.time_base
    if track.start_time is None or track.time_base is None:
        return first or 0.0
    own = float(track.start_time * track.time_base)
    return own if first is None or own - first <= GAP_SECONDS else first


def declared_end(container: av.container.InputContainer, track: av.AudioStream, damaged: bool) -> float | None:
    """End of a track by its headers, in seconds after the start of the file; None where they do not give it, or where
    it is FFmpeg's estimate.

    Args:
        damaged: whether packets were lost; then the estimate is returned too.
    """
    if track.codec_context is None:
        return None
    if track.duration is not None and track.time_base is not None:
        seconds = float(track.duration * track.time_base)
        if len(container.streams) > 1:
            late = max(0.0, float((track.start_time or 0) * track.time_base) - origin(container, track))
            whole = container.duration / av.time_base if container.duration else math.inf
            seconds = min(late + seconds, whole)  # FFmpeg gives a track without a duration that of the file
    elif container.duration is not None and len(container.streams) == 1:
        seconds = container.duration / av.time_base
        if "matroska" in container.format.name:  # FFmpeg counts from 0 there, also where the first packet is later
            seconds -= max(0.0, origin(container, track))
    else:
        return None
    by_size = container.size * 8 / track.bit_rate if track.bit_rate else seconds
    estimated = container.format.name in ESTIMATED and seconds < TOO_LONG * by_size
    return None if estimated and not damaged else seconds


def gaps(tally: Tally) -> str | None:
    """A sentence on the gaps in a track; None where they last less than a second, or where packets were damaged."""
    if tally.left_out:
        return f"A gap of {_rounded(tally.left_out)} s was left out, so times after it are earlier than in the file."
    if tally.gaps < 1 or tally.damaged:
        return None
    return f"The sound has gaps of {_rounded(tally.gaps)} s in all, which are taken for silence."


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
