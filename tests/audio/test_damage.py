"""Ordinary files of every format with random damage, each decoded by a worker, which may crash."""

import random
import re

import numpy as np

from genre.audio.audio import Audio
from genre.audio.levels import FULL_SCALE_LIMIT
from genre.errors import AudioError
from tests.audio.test_decode import FORMATS
from tests.conftest import RATE, music, write_audio

COUNT = 150
HEAD = 2048  # bytes, with most headers
SENTENCE = re.compile(r"(?!.*broke off: it is)[^/\n]{10,160}\.")  # not the one of a crash or a timeout


def span(dice, data):
    return sorted(dice.choices(range(len(data)), k=2))


def lose(dice, data, other):
    start, end = span(dice, data)
    return data[:start] + data[end:]


def blank(dice, data, other):
    start, end = span(dice, data)
    return data[:start] + bytes(end - start) + data[end:]


def flip_bits(dice, data, other):
    reach = dice.choice((HEAD, len(data)))
    for _ in range(dice.choice((1, 10, 100))):
        data[dice.randrange(min(reach, len(data)))] ^= 1 << dice.randrange(8)
    return data


def insert(dice, data, other):
    at = dice.randrange(len(data))
    return data[:at] + dice.randbytes(dice.choice((1, 100, 10_000))) + data[at:]


DAMAGE = (
    lambda dice, data, other: data[: dice.randrange(len(data))],
    lose,
    flip_bits,
    blank,
    insert,
    lambda dice, data, other: data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :],
)


def test_damaged_files_are_decoded_or_refused_with_a_sentence(tmp_path):
    intact, decoded, bitexact = {}, 0, {"fflags": "+bitexact"}  # without random serial numbers and dates
    for name, (codec, options) in FORMATS.items():
        sound = music(3, options.get("rate", RATE))
        path = tmp_path / f"intact.{name}"
        intact[name] = write_audio(path, [sound, 0.5 * sound], codec, options=bitexact, **options).read_bytes()
    for number in range(COUNT):
        dice = random.Random(number)
        damage, (one, other) = DAMAGE[number % len(DAMAGE)], dice.choices(list(intact), k=2)
        path = tmp_path / f"{number}.{one}"
        path.write_bytes(damage(dice, bytearray(intact[one]), intact[other]))
        try:
            for piece in Audio(path).pieces(RATE, seconds=60):
                assert np.abs(piece).max() <= FULL_SCALE_LIMIT, path.name
            decoded += 1
        except AudioError as error:
            assert SENTENCE.fullmatch(str(error)), f"{path.name}: {error}"
    assert COUNT // 2 < decoded < COUNT
