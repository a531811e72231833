"""Confidence intervals of accuracies."""

import math


def wilson_interval(correct: int, total: int, z: float = 1.96) -> list[float]:
    """Score interval of a proportion (Wilson, 1927), of 95 % by default."""
    p = correct / total
    centre = p + z * z / (2 * total)
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return [round((centre + side * spread) / (1 + z * z / total), 4) for side in (-1, 1)]
