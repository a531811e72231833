"""Out-of-distribution detection: do scores of a prediction tell that the checkpoint was not trained on a genre?

    python -m benchmarks.unfamiliar CHECKPOINT TRAINED_ON OTHER --genre Classical

TRAINED_ON and OTHER are data folders (prepared arrays or archives, see genre/data/dataset.py): the training data of the
checkpoint, and another catalogue with the genre that was left out. Prints the AUROC of several scores for every member,
each in two comparisons: the tracks of the genre against the validation tracks of TRAINED_ON, and against the other
genres of OTHER. The second one shows whether a score depends on the genre or only on the catalogue.

The scores of a track are 1 - the largest probability (Hendrycks & Gimpel, 2017), minus the largest logit, the energy
(Liu et al., 2020), and two distances of its mean features: to the 10th nearest training track (Sun et al., 2022), and
the Mahalanobis distance to the nearest genre (Lee et al., 2018). All should be lower for familiar music.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.not_music import area_under_curve
from genre.data.dataset import Source, read_data
from genre.data.windows import Windows, front_end_name
from genre.models.member import Member
from genre.models.model import GenreModel

TRAINING_TRACKS = 3000
NEIGHBOUR = 10
BATCH_TRACKS = 32


@dataclass(frozen=True)
class Outputs:
    """Mean over each track's windows: features (tracks, features), logits (tracks, labels); and labels (tracks,)."""

    features: Tensor
    logits: Tensor
    labels: Tensor

    def of(self, chosen: Tensor) -> "Outputs":
        return Outputs(self.features[chosen], self.logits[chosen], self.labels[chosen])


@torch.inference_mode()
def outputs(member: Member, source: Source, split: str, tracks: int | None = None) -> Outputs:
    windows = Windows(source, split, front_end_name(member.log_mel.config))
    chosen = np.linspace(0, len(windows) - 1, min(tracks or len(windows), len(windows))).astype(int)
    parts = []
    for first in range(0, len(chosen), BATCH_TRACKS):
        batch = windows.all(chosen[first : first + BATCH_TRACKS])
        features = member.embed(batch.flatten(0, 1))
        parts.append([one.unflatten(0, batch.shape[:2]).mean(1) for one in (features, member.head(features))])
    return Outputs(*(torch.cat(one).float() for one in zip(*parts, strict=True)), windows.labels[chosen])


def scores(one: Outputs, training: Outputs) -> dict[str, Tensor]:
    """Each score of tracks, shape (tracks,); larger is less familiar."""
    unit, known = (torch.nn.functional.normalize(x.features) for x in (one, training))
    genres = training.labels.unique()
    means = torch.stack([training.features[training.labels == genre].mean(0) for genre in genres])
    centred = training.features - means[torch.searchsorted(genres, training.labels)]
    covariance = centred.T @ centred / len(centred) + 1e-3 * torch.eye(centred.shape[1])
    differences = one.features[:, None] - means
    solved = torch.linalg.solve(covariance, differences.flatten(0, 1).T).T.unflatten(0, differences.shape[:2])
    return {
        "1 - probability": 1 - one.logits.softmax(-1).amax(-1),
        "- logit": -one.logits.amax(-1),
        "energy": -one.logits.logsumexp(-1),
        f"neighbour {NEIGHBOUR}": torch.cdist(unit, known).kthvalue(NEIGHBOUR).values,
        "Mahalanobis": (differences * solved).sum(-1).amin(-1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("trained_on", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--genre", required=True, help="of OTHER, which the checkpoint was not trained on")
    arguments = parser.parse_args()
    checkpoint = GenreModel.from_pretrained(arguments.checkpoint)
    data = read_data({"trained on": arguments.trained_on, "other": arguments.other})
    trained_on, other = data.sources
    left_out = data.genres.index(arguments.genre)
    print("| member | score | against validation | against other genres of its catalogue |\n| --- | --- | --- | --- |")
    for name, member in checkpoint.members.items():
        training = outputs(member, trained_on, "training", TRAINING_TRACKS)
        familiar = scores(outputs(member, trained_on, "validation"), training)
        catalogue = outputs(member, other, "training")
        unfamiliar = scores(catalogue.of(catalogue.labels == left_out), training)
        neighbours = scores(catalogue.of(catalogue.labels != left_out), training)
        for score, values in unfamiliar.items():
            areas = [area_under_curve(values, lower[score]) for lower in (familiar, neighbours)]
            print(f"| {name} | {score} | {areas[0]:.2f} | {areas[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
