"""Mutants by their number: deterministic bytes."""

import random
from dataclasses import dataclass

from tests.fuzz.damage import DAMAGE, Seeds
from tests.fuzz.hostile import HOSTILE
from tests.fuzz.references import Bait, reference

KINDS = (*DAMAGE, *HOSTILE, reference, reference, reference)
CLASSIFIED = 10  # one in so many mutants is classified, the others are only decoded


@dataclass(frozen=True)
class Mutant:
    """A file to be decoded.

    Attributes:
        number: which one of the run.
        kind: how it was made.
        name: of the file.
        data: its content.
        start: of decoding, in seconds.
        classify: whether it is classified too.
    """

    number: int
    kind: str
    name: str
    data: bytes
    start: float
    classify: bool


def make(seed: int, number: int, seeds: Seeds, bait: Bait) -> Mutant:
    """Mutant `number` of a seed; kinds alternate, so that a short run has all of them."""
    dice = random.Random(f"{seed}/{number}")
    maker = KINDS[number % len(KINDS)]
    suffix, data = maker(dice, seeds, bait) if maker is reference else maker(dice, seeds)
    start = dice.choice((0.0, 0.0, 0.0, 1.3))
    classify = dice.randrange(CLASSIFIED) == 0
    return Mutant(number, maker.__name__, f"{number}.{suffix}", bytes(data), start, classify)
