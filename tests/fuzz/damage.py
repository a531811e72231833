"""Random damage to files of any format."""

import random
import struct

Seeds = dict[str, bytes]
HEAD = 2048  # bytes, with most headers
EXTREMES = (0, 1, 2, 7, 8, 63, 64, 65, 127, 128, 255, 256, 1000, 32767, 65535, 0xFFFFF, 192_000, 768_000, 1_000_000)
EXTREMES += (2**24 - 1, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def cut(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    start, end = sorted(random.choices(range(len(data) + 1), k=2))
    return name, random.choice((data[:end], data[:HEAD][:end], data[start:], data[:start] + data[end:]))


def flip_bits(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    for _ in range(random.choice((1, 10, 100, 1000))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return name, data


def flip_bits_of_the_head(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    for _ in range(random.choice((1, 2, 4, 16))):
        data[random.randrange(min(HEAD, len(data)))] ^= 1 << random.randrange(8)
    return name, data


def extreme_numbers(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    reach = random.choice((64, HEAD, len(data) - 8))
    for _ in range(random.choice((1, 2, 8))):
        kind = random.choice(("B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
        struct.pack_into(kind, data, random.randrange(reach), extreme(random, kind))
    return name, data


def splice(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    (name, head), (_, tail) = pick(random, seeds), pick(random, seeds)
    return name, head[: random.randrange(len(head))] + tail[random.randrange(len(tail)) :]


def interleave(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    (name, one), (_, other) = pick(random, seeds), pick(random, seeds)
    size = random.choice((16, 188, 512, 4096))
    mixed = (random.choice((one, one, other))[at : at + size] for at in range(0, len(one), size))
    return name, b"".join(mixed)


def insert(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    at = random.choice((0, random.randrange(HEAD), random.randrange(len(data))))
    noise = random.randbytes(random.choice((1, 3, 100, 10_000, 1_000_000)))
    return name, data[:at] + random.choice((noise, bytes(len(noise)), b"\xff" * len(noise))) + data[at:]


def blank(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    start, end = sorted(random.choices(range(random.choice((HEAD, len(data)))), k=2))
    data[start:end] = random.choice((b"\0", b"\xff", random.randbytes(1))) * (end - start)
    return name, data


def repeat(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    start, end = sorted(random.choices(range(len(data) + 1), k=2))
    return name, data[:end] + data[start:end] * random.choice((1, 3, 10)) + data[end:]


def shuffle(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    size = random.choice((64, 1024, 16384))
    head, *blocks = [data[at : at + size] for at in range(0, len(data), size)]
    random.shuffle(blocks)
    return name, b"".join([head, *blocks])


def noise(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    name, data = pick(random, seeds)
    size = random.choice((0, 4, 12, 64, 512))
    return name, data[:size] + random.randbytes(random.choice((1, 100, 10_000, 1_000_000)))


def wrong_name(random: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    _, data = pick(random, seeds)
    return random.choice((*seeds, "m3u8", "mpd", "txt", "png", "%d.png", "ffconcat")), data


def pick(random: random.Random, seeds: Seeds) -> tuple[str, bytearray]:
    """A name and a copy of the bytes of one of the three-second seeds."""
    name = random.choice([name for name in seeds if not name.startswith(("tiny", "silent"))])
    return name, bytearray(seeds[name])


def extreme(random: random.Random, kind: str) -> int | float:
    """A number that fits the struct format `kind` and is likely to be handled wrongly."""
    if kind[-1] in "fd":
        return random.choice((float("nan"), float("inf"), -1.0, 0.0, 1e-30, 1e9, 1e30, 768_001.0, 3.0))
    bits = 8 * struct.calcsize(kind)
    number = random.choice([value for value in EXTREMES if value < 2**bits])
    return number - 2**bits if kind[-1].islower() and number >= 2 ** (bits - 1) else number


DAMAGE = (
    cut,
    flip_bits,
    flip_bits_of_the_head,
    extreme_numbers,
    splice,
    interleave,
    insert,
    blank,
    repeat,
    shuffle,
    noise,
    wrong_name,
)
