"""Is one checkpoint better than another? `python -m benchmarks.compare OLD.csv NEW.csv [--note NAME]`

The files hold each track's probabilities, as `train.py` writes them. Both judge the same tracks, so the difference is
bootstrapped over tracks (Efron, 1979): resampled with replacement, again and again, the two always together.
"""

import argparse
from pathlib import Path

import numpy as np

from genre.hub.card import add_note
from genre.models.checkpoint import SHIPPED
from genre.training.evaluate import read_predictions

RESAMPLES = 10_000


def read(path: Path) -> dict[str, bool]:
    """Whether each track's likeliest genre is the true one, by track id."""
    tracks, probabilities, labels = read_predictions(path)
    return dict(zip(tracks, (probabilities.argmax(-1) == labels).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--note", metavar="NAME", help="write the outcome into this folder of checkpoints/")
    arguments = parser.parse_args()
    old, new = read(arguments.old), read(arguments.new)
    if old.keys() != new.keys():
        parser.error("the two files hold different tracks")
    pairs = np.array([(old[track], new[track]) for track in old], dtype=float)
    chosen = np.random.default_rng(0).integers(0, len(pairs), size=(RESAMPLES, len(pairs)))
    differences = (pairs[:, 1] - pairs[:, 0])[chosen].mean(axis=1)
    low, high = np.quantile(differences, [0.025, 0.975])
    text = (
        f"{arguments.old.stem} and {arguments.new.stem}: {pairs[:, 0].mean():.1%} and {pairs[:, 1].mean():.1%} of "
        f"{len(pairs)} tracks; difference {differences.mean():+.1%}, 95 % interval {low:+.1%} to {high:+.1%} by paired "
        f"bootstrap, and above zero in {(differences > 0).mean():.1%} of the resamples."
    )
    print(text)
    if arguments.note:
        add_note(SHIPPED / arguments.note, "python -m benchmarks.compare OLD.csv NEW.csv --note", text)


if __name__ == "__main__":
    main()
