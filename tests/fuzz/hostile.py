"""Well-formed hostile files: wrong headers, decompression bombs, huge tags, absurd samples."""

import random
import struct
import zlib
from functools import cache

import numpy as np

from tests.conftest import RATE, music
from tests.fuzz.damage import Seeds, extreme
from tests.fuzz.seeds import box, wav

# Numbers in headers: by container, the bytes that mark a position, and offsets from them by type.
FIELDS = {
    "wav": [(b"fmt ", "<I", (4, 12)), (b"fmt ", "<H", (8, 10, 20, 22)), (b"data", "<I", (4,)), (b"RIFF", "<I", (4,))],
    "f32.wav": [(b"fmt ", "<I", (4, 12)), (b"fmt ", "<H", (8, 10, 20, 22)), (b"fact", "<I", (8,))],
    "adpcm.wav": [(b"fmt ", "<I", (12,)), (b"fmt ", "<H", (10, 20, 22, 26))],
    "flac": [(b"fLaC", ">I", (4, 18, 22)), (b"fLaC", ">H", (8, 10, 20))],
    "m4a": [
        (b"mvhd", ">I", (16, 20, 24)),
        (b"mdhd", ">I", (4, 16, 20)),
        (b"stsz", ">I", (8, 12, 16)),
        (b"stts", ">I", (8, 12, 16)),
        (b"stsc", ">I", (8, 12, 16)),
        (b"stco", ">I", (8, 12)),
        (b"elst", ">I", (8, 12, 16, 20)),
        (b"mp4a", ">H", (20, 22)),
        (b"mp4a", ">I", (28,)),
    ],
    "alac.m4a": [(b"\0\0\0\x24alac", ">I", (12, 32)), (b"\0\0\0\x24alac", "B", (17, 21))],
    "ogg": [(b"\x01vorbis", "<I", (7, 12)), (b"\x01vorbis", "B", (11, 28)), (b"OggS", "B", (4, 5, 26))],
    "opus": [(b"OpusHead", "B", (9, 18)), (b"OpusHead", "<H", (10, 16)), (b"OggS", "<q", (6,)), (b"OggS", "<I", (14,))],
    "webm": [(b"\xb5\x88", ">d", (2,)), (b"\x9f\x81", "B", (2,))],
    "mkv": [(b"\xb5\x88", ">d", (2,)), (b"\x44\x89\x88", ">d", (3,)), (b"\x2a\xd7\xb1", ">I", (4,))],
    "aiff": [(b"COMM", ">I", (4, 10)), (b"COMM", ">H", (8, 14, 16)), (b"COMM", ">Q", (18,))],
    "au": [(b".snd", ">I", (4, 8, 12, 16, 20))],
    "caf": [(b"desc", ">d", (12,)), (b"desc", ">I", (28, 32, 36, 40))],
    "wma": [(b"\x61\x01", "<H", (2, 12, 14)), (b"\x61\x01", "<I", (4, 8))],
    "wv": [(b"wvpk", "<I", (4, 12, 16, 20, 24))],
    "tta": [(b"TTA1", "<H", (6, 8)), (b"TTA1", "<I", (10, 14))],
    "avi": [(b"strh", "<I", (28, 32, 36, 40, 52)), (b"avih", "<I", (8, 24, 32))],
    "mp3": [(b"Info", ">I", (4, 8, 12))],
    "flv": [(b"FLV", ">I", (5,)), (b"duration", ">d", (9,))],
}


def wrong_header(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name = random.choice(list(FIELDS))
    data = bytearray(seeds[name])
    for mark, kind, offsets in random.choices(FIELDS[name], k=random.choice((1, 1, 2, 3))):
        offset = random.choice(offsets)
        places = [at for at in _every(data, mark) if at + offset + 8 <= len(data)]
        for place in places if random.random() < 0.3 else places[-1:]:
            struct.pack_into(kind, data, place + offset, extreme(random, kind))
    return name, data


def wrong_wav_header(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    samples = random.choice((music(1), music(0.01)))
    rate = random.choice(
        (0, 1, 2, 10, 999, 1000, 4000, RATE, 384_000, 768_000, 768_001, 5_000_000, 2**31 - 1, 2**32 - 1)
    )
    channels = random.choice((0, 1, 2, 3, 8, 24, 63, 64, 65, 255, 256, 512, 513, 32767, 65535))
    tag, bits = random.choice(((1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64), (6, 8), (7, 8), (1, 0), (0x55, 16)))
    data = (samples * 32767).astype("<i2").tobytes() * random.choice((1, 8))
    return "wav", wav(data, tag=tag, channels=channels, rate=rate, bits=bits)


def not_finite(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    width = random.choice(("<f4", "<f8"))
    samples = music(2).astype(width)
    strange = (np.nan, -np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-42, 3e38)
    samples[:: random.choice((1, 2, 100, 10_000))] = random.choice(strange)
    samples[random.randrange(len(samples)) :] = random.choice((*strange, 0.5))
    rate, channels = random.choice((8000, 22050, RATE, 48000)), random.choice((1, 2))
    return "wav", wav(samples.tobytes(), tag=3, channels=channels, rate=rate, bits=int(width[-1]) * 8)


def tiny(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name = random.choice([name for name in seeds if name.startswith("tiny")])
    if random.random() < 0.3:
        count = random.choice((0, 1, 2, 3, 10))
        rate = random.choice((1000, 8000, RATE, 48000, 192_000))
        return "wav", wav(random.randbytes(2 * count), rate=rate, channels=random.choice((1, 2)))
    return name, seeds[name]


def endless(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """Small files with hours of audio."""
    name = random.choice(("silent.flac", "silent.aac", "silent.mp3", "mp3", "aac", "ac3", "ogg", "ts", "wav"))
    if name == "wav":
        return name, wav(bytes(1_000_000), rate=random.choice((1, 100, 1000)), bits=8)
    if name == "silent.flac":
        data = bytearray(seeds[name])
        data[18:26] = random.choice((data[18:26], b"\x01\xf4\x00\xff\xff\xff\xff\xff", b"\xff\xff\xf0\xf0" + bytes(4)))
        return name, data
    return name, seeds[name] * random.choice((5, 40, 200))


def huge_tags(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    text = random.randbytes(100_000)
    kind, content, count = random.choice(
        (
            (b"TIT2", b"\x03" + b"A" * 8_000_000, 1),
            (b"TIT2", b"\x01\xff\xfe" + text, 1),
            (b"APIC", b"\0image/png\0\3\0" + _png(20_000), 1),
            (b"APIC", b"\0image/png\0\3\0" + _png(9), 2000),
            (b"APIC", b"\0image/jpeg\0\3\0" + text * 80, 1),
            (b"CHAP", b"c\0" + text[:16], 20_000),
            (b"GEOB", b"\0a\0b\0c\0" + text, 50),
        )
    )
    body = random.choice((many_tags(10_000), _id3(kind, content) * count))
    size = random.choice((len(body), 0, 2**28 - 1, len(body) // 2))
    header = id3_header(size, random.choice((0, 0x80, 0x40, 0xF0)))
    name = random.choice(("mp3", "aac", "flac", "wav", "tta", "m4a"))
    return name, (header + body) * random.choice((1, 2)) + seeds[name]


def huge_comments(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """FLAC metadata blocks, and MP4 boxes in boxes."""
    if random.random() < 0.5:
        blocks = [random.choice((4, 5, 6, 127)) for _ in range(random.choice((1, 2000)))]
        content = random.randbytes(16_000_000 // len(blocks) // random.choice((1, 30)))
        extra = b"".join(struct.pack(">I", kind << 24 | len(content)) + content for kind in blocks)
        data = seeds["flac"]
        return "flac", data[:4] + bytes([data[4] & 127]) + data[5:42] + extra + data[42:]
    inner = b""
    for _ in range(random.choice((50, 2000, 5000))):
        inner = box(random.choice((b"moov", b"trak", b"udta", b"meta", b"ilst", b"moof")), inner)
    data = seeds["m4a"]
    at = data.index(b"moov") - 4
    return "m4a", data[:at] + inner + data[at:]


def index_bomb(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    samples = random.choice((10**5, 10**7, 60_000_000, 178_000_000, 2**31 - 1, 2**32 - 1))
    codec = random.choice((b"mp4a", b"raw ", b"alac", b"sowt", b".mp3"))
    return "m4a", declared_index(samples, random.choice((0, 1, 4)), codec)


def zip_bomb(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """A compressed MP4 header that unpacks to hundreds of megabytes."""
    size = random.choice((10**6, 4 * 10**8))
    declared = random.choice((size, 2**31 - 1, 2**32 - 1))
    header = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", struct.pack(">I", declared), _packed_zeros(size)))
    return "mov", box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", header)


def many_streams(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """MP4 with thousands of tracks, or Ogg with thousands of streams."""
    if random.random() < 0.5:
        data = seeds["m4a"]
        at = data.index(b"trak") - 4
        (size,) = struct.unpack_from(">I", data, at)
        moov = data.index(b"moov") - 4
        return "m4a", data[:moov] + box(b"moov", data[moov + 8 : at], data[at : at + size] * 3000)
    data = seeds[name := random.choice(("ogg", "opus"))]
    first = data[: data.index(b"OggS", 4)]
    return name, b"".join(first[:14] + struct.pack("<I", i) + first[18:] for i in range(5000)) + data


def declared_index(samples: int, size: int, codec: bytes) -> bytes:
    """An MP4 of a few bytes that declares so many samples of so many bytes; FFmpeg allocates 24 bytes for each."""
    entry = box(codec, bytes(6), struct.pack(">H8xHHHHI", 1, 2, 16, 0, 0, RATE << 16))
    tables = (
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        box(b"stts", struct.pack(">IIII", 0, 1, samples, 1024)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, samples, 1)),
        box(b"stsz", struct.pack(">III", 0, size, samples)),
        box(b"stco", struct.pack(">III", 0, 1, 40)),
    )
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, RATE, min(samples, 2**31), 0)),
        box(b"hdlr", bytes(8), b"soun", bytes(13)),
        box(b"minf", box(b"stbl", *tables)),
    )
    return box(b"ftyp", b"M4A \0\0\0\0M4A ") + box(b"mdat", bytes(5000)) + box(b"moov", box(b"trak", media))


def many_tags(count: int) -> bytes:
    """ID3 frames with different names; FFmpeg's time to read them is quadratic in their number."""
    return b"".join(_id3(b"TXXX", b"\x03%d\0x" % i) for i in range(count))


def id3_header(size: int, flags: int = 0) -> bytes:
    return b"ID3\x04\0" + bytes([flags]) + _seven_bits(size)


def _every(data: bytes, mark: bytes) -> list[int]:
    places, at = [], data.find(mark)
    while at >= 0 and len(places) < 100:
        places.append(at)
        at = data.find(mark, at + 1)
    return places


def _id3(kind: bytes, body: bytes) -> bytes:
    return kind + _seven_bits(len(body)) + b"\0\0" + body


def _seven_bits(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


@cache
def _packed_zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(10**6)) for _ in range(size // 10**6)) + packer.flush()


@cache
def _png(side: int) -> bytes:
    """A black image, small as a file and large in memory."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side // 8 + 2)) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


HOSTILE = (
    wrong_header,
    wrong_header,
    wrong_header,
    wrong_wav_header,
    not_finite,
    tiny,
    endless,
    huge_tags,
    huge_comments,
    index_bomb,
    zip_bomb,
    many_streams,
)
