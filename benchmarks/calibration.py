"""How well can a calibration error be told from none? `python -m benchmarks.calibration PREDICTIONS.csv [--note NAME]`

The file holds each track's probabilities, as `train.py` writes them. With few tracks a bin holds a few dozen, so even
a model whose confidence is exactly how often it is right measures an error; how large it is comes from throwing dice
that land as often as the model says (Bröcker and Smith, 2007, "Increasing the reliability of reliability diagrams").
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from genre.hub.card import add_note
from genre.models.checkpoint import SHIPPED
from genre.training.evaluate import calibration_error, read_predictions

THROWS = 2000


def errors_if_perfect(confidence: Tensor) -> Tensor:
    """Calibration errors that models with this confidence, shape (tracks,), and no fault measure, shape (throws,)."""
    generator = torch.Generator().manual_seed(0)
    outcomes = torch.rand(THROWS, len(confidence), generator=generator) < confidence
    return torch.tensor([calibration_error(confidence, correct) for correct in outcomes])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--note", metavar="NAME", help="write the outcome into this folder of checkpoints/")
    arguments = parser.parse_args()
    _, probabilities, labels = read_predictions(arguments.predictions)
    confidence, likeliest = probabilities.max(-1)
    correct = likeliest == labels
    perfect = errors_if_perfect(confidence)
    low, high = perfect.quantile(torch.tensor([0.025, 0.975])).tolist()
    text = (
        f"{arguments.predictions.stem}: confidence {confidence.mean():.1%} on average and right for "
        f"{correct.float().mean():.1%}; calibration error {calibration_error(confidence, correct):.1%}, where a model "
        f"without fault measures {perfect.mean():.1%} on {len(confidence)} tracks (95 %: {low:.1%} to {high:.1%})."
    )
    print(text)
    if arguments.note:
        add_note(
            SHIPPED / arguments.note, f"python -m benchmarks.calibration {arguments.predictions.name} --note", text
        )


if __name__ == "__main__":
    main()
