"""Mutant number n of a run: the same bytes each time."""

import random
from dataclasses import dataclass

from tests.fuzz.damage import DAMAGE, Seeds
from tests.fuzz.lies import LIES
from tests.fuzz.references import Bait, reference

KINDS = (*DAMAGE, *LIES, reference, reference, reference)
WHOLE_WAY = 10  # every so many mutants are classified, the others only decoded


@dataclass(frozen=True)
class Mutant:
    """A file to be heard.

    Attributes:
        number: which one of the run.
        kind: how it was made.
        name: of the file.
        data: its content.
        start: where to begin to hear, in seconds.
        classify: whether it goes all the way to a verdict.
    """

    number: int
    kind: str
    name: str
    data: bytes
    start: float
    classify: bool


def make(seed: int, number: int, seeds: Seeds, bait: Bait) -> Mutant:
    """Kinds take turns, so that a short run has all of them."""
    dice = random.Random(f"{seed}/{number}")
    maker = KINDS[number % len(KINDS)]
    suffix, data = maker(dice, seeds, bait) if maker is reference else maker(dice, seeds)
    start = dice.choice((0.0, 0.0, 0.0, 1.3))
    classify = dice.randrange(WHOLE_WAY) == 0
    return Mutant(number, maker.__name__, f"{number}.{suffix}", bytes(data), start, classify)
