"""Chained Ogg: files of multiple parts, each with its own headers (RFC 3533, section 4), as of web radio.

FFmpeg reads the parts as one stream and stops, or decodes with wrong tables, where their settings differ. Therefore
each part is opened as a separate file.
"""

import errno
import io
import os
import re
from typing import BinaryIO

CAPTURE = b"OggS"
FIRST_PAGE = re.compile(rb"OggS\0[\x02\x03\x06\x07]")  # flag 2: the page begins a logical stream
FIRST_PAGE_BYTES = 6  # length of a match
HEADER_BYTES = 27  # of a page, before the table of its segments
CHUNK = 2**20  # bytes
MAX_PARTS = 1000  # a day of radio; each costs about a millisecond to open


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
