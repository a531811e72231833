"""Surround sound that is packed as PCM, as on DTS CDs and in recordings of S/PDIF: noise, unless it is decoded.

FFmpeg recognises it in WAV and decodes it, in other containers (FLAC, ALAC, AIFF) it does not.
"""

import re
from collections.abc import Iterator

import av
import numpy as np

from genre.errors import AudioError

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


def checked(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
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
                _check(bytes(found))
                found.clear()
        yield frame
    _check(bytes(found))


def _words(frame: av.AudioFrame) -> np.ndarray | None:
    """The upper 16 bits of the samples of both channels in turn; None for other frames than stereo."""
    if frame.format.packed.name not in ("s16", "s32", "flt", "dbl") or frame.layout.nb_channels != 2:
        return None
    words = frame.to_ndarray()
    words = words.T if frame.format.is_planar else words
    if words.dtype.kind == "f":
        words = np.nan_to_num(words * 2.0**15).clip(-(2**15), 2**15 - 1)
    return (words.astype(np.int64) >> 16 if words.dtype == np.int32 else words).astype("<i2").ravel()


def _check(data: bytes) -> None:
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
