"""Which differences between checkpoints, and which calibration errors, are larger than chance?

    python -m benchmarks.significance compare OLD.csv NEW.csv [--note NAME]
    python -m benchmarks.significance calibration PREDICTIONS.csv [--note NAME]

The files are tables of predictions that `train.py` writes. `compare` prints the difference in accuracy of two
checkpoints on the same tracks, with its interval by paired bootstrap over tracks (Efron, 1979). `calibration` prints
the calibration error, and for comparison that of a perfectly calibrated model on as many tracks, which is not zero,
since a bin holds only a few dozen tracks; it is simulated by drawing outcomes from the confidences (Bröcker and Smith,
2007, "Increasing the reliability of reliability diagrams"). With --note the sentence is written into the metrics.json
and the model card of the checkpoint NAME.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor

from genre.hub.card import add_note
from genre.models.model import SHIPPED
from genre.training.evaluate import calibration_error, read_predictions

RESAMPLES = 10_000  # of the paired bootstrap
SIMULATIONS = 2000  # of a perfectly calibrated model


def compare(old: Path, new: Path) -> str:
    """Difference in accuracy on the same tracks, in a sentence."""
    before, after = _correct_by_track(old), _correct_by_track(new)
    if before.keys() != after.keys():
        sys.exit("The two files hold different tracks.")
    pairs = np.array([(before[track], after[track]) for track in before], dtype=float)
    options = {"n_resamples": RESAMPLES, "method": "percentile", "rng": np.random.default_rng(0)}
    resampled = bootstrap((pairs[:, 1] - pairs[:, 0],), np.mean, **options)
    differences, (low, high) = resampled.bootstrap_distribution, resampled.confidence_interval
    return (
        f"{old.stem} and {new.stem}: {pairs[:, 0].mean():.1%} and {pairs[:, 1].mean():.1%} of {len(pairs)} tracks; "
        f"difference {differences.mean():+.1%}, 95 % interval {low:+.1%} to {high:+.1%} by paired bootstrap, and above "
        f"zero in {(differences > 0).mean():.1%} of the resamples."
    )


def calibration(predictions: Path) -> str:
    """Calibration error, beside that of a perfectly calibrated model, in a sentence."""
    _, probabilities, labels = read_predictions(predictions)
    confidence, predicted = probabilities.max(-1)
    correct = predicted == labels
    perfect = errors_if_calibrated(confidence)
    low, high = perfect.quantile(torch.tensor([0.025, 0.975])).tolist()
    return (
        f"{predictions.stem}: mean confidence {confidence.mean():.1%}, accuracy {correct.float().mean():.1%}; "
        f"calibration error {calibration_error(confidence, correct):.1%}, where a perfectly calibrated model measures "
        f"{perfect.mean():.1%} on {len(confidence)} tracks (95 %: {low:.1%} to {high:.1%})."
    )


def errors_if_calibrated(confidence: Tensor) -> Tensor:
    """Calibration errors of simulated models whose accuracy equals their confidence, shape (tracks,).

    Returns:
        shape (simulations,).
    """
    generator = torch.Generator().manual_seed(0)
    outcomes = torch.rand(SIMULATIONS, len(confidence), generator=generator) < confidence
    return torch.tensor([calibration_error(confidence, correct) for correct in outcomes])


def _correct_by_track(path: Path) -> dict[str, bool]:
    """Whether each track's most probable genre is the true one, by track id."""
    tracks, probabilities, labels = read_predictions(path)
    return dict(zip(tracks, (probabilities.argmax(-1) == labels).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    for task, files in ((compare, ("old", "new")), (calibration, ("predictions",))):
        command = tasks.add_parser(task.__name__, help=task.__doc__)
        for file in files:
            command.add_argument(file, type=Path, metavar=f"{file.upper()}.csv")
        command.add_argument("--note", metavar="NAME", help="write the sentence into this folder of checkpoints/")
        command.set_defaults(run=task, files=files)
    arguments = parser.parse_args()
    files = [getattr(arguments, file) for file in arguments.files]
    text = arguments.run(*files)
    print(text)
    if arguments.note:
        names = "OLD.csv NEW.csv" if arguments.task == "compare" else files[0].name
        add_note(
            SHIPPED / arguments.note,
            f"python -m benchmarks.significance {arguments.task} {names} --note {arguments.note}",
            text,
        )


if __name__ == "__main__":
    main()
