"""WAV whose samples have fewer valid bits than their container (24 in 32, 20 in 32, 16 in 24), as of recorders.

Samples fill the container from the top, and the number of valid bits is for information (Microsoft, "Multiple channel
audio data and WAVE files"). FFmpeg takes it for the size of the samples, which gives noise, so it reads the size of the
container in its place.
"""

import os
import struct
from typing import BinaryIO

from genre.audio.ogg import Part

EXTENSIBLE = 0xFFFE  # format tag of headers with a number of valid bits
FORMAT = struct.Struct(
    "<HHIIHHHH"
)  # tag, channels, rate, bytes a second and a frame, bits, bytes that follow, valid bits
VALID_BITS = FORMAT.size - 2  # offset of that number
MAX_CHUNKS = 1000  # before the one with the format


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


def patched(file: BinaryIO) -> Part | None:
    """A file object that FFmpeg reads rightly; None for files that it reads rightly as they are."""
    at = _format(file)
    if at is None:
        return None
    file.seek(at)
    header = file.read(FORMAT.size)
    if len(header) < FORMAT.size:
        return None
    tag, _, _, _, _, bits, _, valid_bits = FORMAT.unpack(header)
    if tag != EXTENSIBLE or valid_bits in (0, bits):
        return None
    return _Patched(file, at + VALID_BITS, struct.pack("<H", bits))


def _format(file: BinaryIO) -> int | None:
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
