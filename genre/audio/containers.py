"""Containers and their packets, where FFmpeg alone would read them wrongly.

*Chained Ogg* are files of multiple parts, each with its own headers (RFC 3533, section 4), as of web radio. FFmpeg
reads the parts as one stream and stops, or decodes with wrong tables, where their settings differ. Therefore each part
is opened as a separate file.

*WAV whose samples have fewer valid bits than their container* (24 in 32, 20 in 32, 16 in 24) comes from recorders.
Samples fill the container from the top, and the number of valid bits is for information (Microsoft, "Multiple channel
audio data and WAVE files"). FFmpeg takes it for the size of the samples, which gives noise, so it reads the size of the
container in its place.

*Surround sound that is packed as PCM*, as on DTS CDs and in recordings of S/PDIF, is noise unless it is decoded. FFmpeg
recognises it in WAV and decodes it, in other containers (FLAC, ALAC, AIFF) it does not.

*Damaged packets* are skipped and counted in a `Tally`, by which notes tell how much of a file was decoded.
"""

import errno
import io
import math
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import av
import numpy as np

from genre.errors import AudioError

# Chained Ogg
CAPTURE = b"OggS"
FIRST_PAGE = re.compile(rb"OggS\0[\x02\x03\x06\x07]")  # flag 2: the page begins a logical stream
FIRST_PAGE_BYTES = 6  # length of a match
HEADER_BYTES = 27  # of a page, before the table of its segments
CHUNK = 2**20  # bytes
MAX_PARTS = 1000  # a day of radio; each costs about a millisecond to open

# WAV
EXTENSIBLE = 0xFFFE  # format tag of headers with a number of valid bits
# tag, channels, rate, bytes a second and a frame, bits, bytes that follow, valid bits
WAV_FORMAT = struct.Struct("<HHIIHHHH")
VALID_BITS = WAV_FORMAT.size - 2  # offset of that number
MAX_CHUNKS = 1000  # before the one with the format

# Packed surround sound
# Sync words of DTS frames (ETSI TS 102 114) as 16 and 14-bit words, and preamble of bursts (IEC 61937-1), in either
# order of bytes, as bytes of little-endian 16-bit samples.
DTS = b"\xfe\x7f\x01\x80", b"\x7f\xfe\x80\x01", b"\xff\x1f\x00\xe8", b"\x1f\xff\xe8\x00"
BURST_LITTLE, BURST_BIG = b"\x72\xf8\x1f\x4e", b"\xf8\x72\x4e\x1f"
# The kind of a burst, by the low bits of the word that follows the preamble (IEC 61937-2).
KINDS = {1: "Dolby Digital", 21: "Dolby Digital", 22: "Dolby TrueHD", **dict.fromkeys((11, 12, 13, 17), "DTS")}
KIND_BITS = 0x1F
SEARCH_SECONDS = 2.0  # of sound, from its first sample that is not 0
SHORTEST = 256  # bytes from a frame to the next
SYNC = re.compile(b"|".join(map(re.escape, (*DTS, BURST_LITTLE, BURST_BIG))), re.DOTALL)

# Packets
SPARE_PACKETS, MIN_PACKET_SECONDS = 20_000, 0.001  # more packets than recordings have would take hours
PROTECTED_TAGS = {"drms", "enca", "aavd"}  # sample entries of FairPlay, Common Encryption (ISO/IEC 23001-7), Audible
PROTECTED_DATA: Final = "encryption_info"  # side data of encrypted packets
ESTIMATED = {"mp3", "aac"}  # formats without an index: FFmpeg estimates their duration from size and bit rate
TOO_LONG = 1.1  # ratio of declared and estimated duration from which the declared one is not that estimate
GAP_SECONDS = 0.1  # between the times of packets, from which it is filled, as by FFmpeg's aresample=async=1
COMPLETE_FRACTION = 0.9  # decoded, from which there is no note, since durations in headers are seldom exact
MIN_FRACTION = 0.1  # decoded, below which a file is refused: the rest may be artefacts of the damage


class Part(io.RawIOBase):
    """A read-only file object over the bytes of a file from `begin` to `end`."""

    def __init__(self, file: BinaryIO, begin: int, end: int):
        self._file, self._begin, self._end, self._at = file, begin, end, begin

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._at
        if left <= 0:
            return b""
        self._file.seek(self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of files, but returns a negative number for a position before the beginning, which FFmpeg takes for an
        error; an exception would be printed by PyAV. Damaged files have such offsets."""
        base = {os.SEEK_SET: self._begin, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        if base + offset < self._begin:
            return -errno.EINVAL
        self._at = base + offset
        return self.tell()

    def tell(self) -> int:
        return self._at - self._begin

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def parts(file: BinaryIO) -> list[Part]:
    """What FFmpeg reads in place of an open file: the parts of a chained one, or the file with its header corrected."""
    whole = _patched(file)
    return [whole] if whole else _chained(file)


def _chained(file: BinaryIO) -> list[Part]:
    """The parts of a chained Ogg file, at most `MAX_PARTS`; the whole file as one where it is not chained."""
    whole = Part(file, 0, file.seek(0, os.SEEK_END))
    file.seek(0)
    if file.read(len(CAPTURE)) != CAPTURE:
        return [whole]
    begins = _first_pages(file)
    ends = {begin + _page_bytes(file, begin) for begin in begins}
    begins = [begin for begin in begins if begin not in ends]  # multiplexed streams begin in adjacent pages
    if len(begins) < 2:
        return [whole]
    return [Part(file, *span) for span in zip(begins, [*begins[1:], file.seek(0, os.SEEK_END)], strict=True)]


def _first_pages(file: BinaryIO) -> list[int]:
    """Offsets, in bytes, of the pages that begin a logical stream; at most `MAX_PARTS` of them."""
    found: list[int] = []
    origin, buffer = 0, b""
    file.seek(0)
    while len(found) < MAX_PARTS and (chunk := file.read(CHUNK)):
        buffer += chunk
        found += [origin + match.start() for match in FIRST_PAGE.finditer(buffer)]
        rest = buffer[-(FIRST_PAGE_BYTES - 1) :]  # shorter than a match, so that none is found twice
        origin, buffer = origin + len(buffer) - len(rest), rest
    return found[:MAX_PARTS]


def _page_bytes(file: BinaryIO, begin: int) -> int:
    file.seek(begin + HEADER_BYTES - 1)
    segments = file.read(1)
    table = file.read(segments[0]) if segments else b""
    return HEADER_BYTES + len(table) + sum(table)


class _Patched(Part):
    """A whole file, as if the two bytes at `at` were `patch`."""

    def __init__(self, file: BinaryIO, at: int, patch: bytes):
        super().__init__(file, 0, file.seek(0, os.SEEK_END))
        self._patches = {at + i: patch[i] for i in range(len(patch))}

    def read(self, size: int = -1) -> bytes:
        begin, data = self.tell(), bytearray(super().read(size))
        for at, byte in self._patches.items():
            if begin <= at < begin + len(data):
                data[at - begin] = byte
        return bytes(data)


def _patched(file: BinaryIO) -> Part | None:
    """A file object that FFmpeg reads rightly; None for files that it reads rightly as they are."""
    at = _format_chunk(file)
    if at is None:
        return None
    file.seek(at)
    header = file.read(WAV_FORMAT.size)
    if len(header) < WAV_FORMAT.size:
        return None
    tag, _, _, _, _, bits, _, valid_bits = WAV_FORMAT.unpack(header)
    if tag != EXTENSIBLE or valid_bits in (0, bits):
        return None
    return _Patched(file, at + VALID_BITS, struct.pack("<H", bits))


def _format_chunk(file: BinaryIO) -> int | None:
    """Offset of the content of the format chunk of RIFF, its 64-bit forms (EBU Tech 3306) or Sony Wave64."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    first = file.read(28)
    if first[:4] in (b"RIFF", b"RF64", b"BW64") and first[8:12] == b"WAVE":
        at, header, counted, padding = 12, struct.Struct("<4sI"), 0, 2
    elif first[:4] == b"riff" and first[24:] == b"wave":
        at, header, counted, padding = 40, struct.Struct("<16sQ"), 24, 8  # its sizes count the header
    else:
        return None
    for _ in range(MAX_CHUNKS):
        if at + header.size > end:
            return None
        file.seek(at)
        name, size = header.unpack(file.read(header.size))
        at += header.size
        if name.startswith(b"fmt "):
            return at
        at += max(0, -(-(size - counted) // padding) * padding)
    return None


def without_packed_sound(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Frames of lossless coding as they are.

    Raises:
        AudioError: they hold packed surround sound.
    """
    found, searched = bytearray(), 0
    for frame in frames:
        words = _words(frame) if searched < SEARCH_SECONDS * frame.sample_rate else None
        if words is not None and (found or words.any()):
            found += words.tobytes()
            searched += frame.samples
            if searched >= SEARCH_SECONDS * frame.sample_rate:
                _refuse_packed(bytes(found))
                found.clear()
        yield frame
    _refuse_packed(bytes(found))


def _words(frame: av.AudioFrame) -> np.ndarray | None:
    """The upper 16 bits of the samples of both channels in turn; None for other frames than stereo."""
    if frame.format.packed.name not in ("s16", "s32", "flt", "dbl") or frame.layout.nb_channels != 2:
        return None
    words = frame.to_ndarray()
    words = words.T if frame.format.is_planar else words
    if words.dtype.kind == "f":
        words = np.nan_to_num(words * 2.0**15).clip(-(2**15), 2**15 - 1)
    return (words.astype(np.int64) >> 16 if words.dtype == np.int32 else words).astype("<i2").ravel()


def _refuse_packed(data: bytes) -> None:
    """Raise AudioError where sync words follow each other at equal distances, as chance does not produce them."""
    places: dict[bytes, list[int]] = {}
    for match in SYNC.finditer(data):
        places.setdefault(match[0], []).append(match.start())
    for word, at in places.items():
        known = set(at)
        if any(
            {second, 2 * second - first} <= known
            for number, first in enumerate(at[:20])
            for second in at[number + 1 : number + 20]
            if second - first >= SHORTEST
        ):
            name = _name(word, data[at[0] + len(word) :][:2])
            raise AudioError(
                f"This file holds {name} sound that is packed as PCM: convert it with a program that decodes it."
            )


def _name(word: bytes, following: bytes) -> str:
    if word in DTS:
        return "DTS"
    return KINDS.get(int.from_bytes(following, "little" if word == BURST_LITTLE else "big") & KIND_BITS, "surround")


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
