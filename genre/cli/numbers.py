"""Numbers as values of options."""

import argparse
import math
from collections.abc import Callable


def number(kind: type, wanted: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """An argparse type: numbers of this kind that fit; others are refused as not what is wanted."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan  # fits nothing
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return parse
