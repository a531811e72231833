"""What a checkpoint scores on a split: accuracy with its interval, calibration, recall a genre, confusion."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genre.augment import NO_CHANGE, Augmentation
from genre.checkpoint import Certainty, Checkpoint, Fusion, average_windows, window_members
from genre.data import Index, Windows, front_end_name
from genre.training import track_log_probabilities

CALIBRATION_BINS = 15
COVERAGE = 0.9  # of the conformal set: how often it holds the true genre
SURE = 2 / 3  # how often a genre is right where it is named alone
BY_PHONE = replace(NO_CHANGE, phone=1.0)


def fit_fusion(log_probabilities: Tensor, labels: Tensor) -> Fusion:
    """Weights and temperature that make the fused probabilities likeliest.

    Args:
        log_probabilities: of each member, shape (members, samples, labels).
        labels: true ones, shape (samples,).
    """
    raw = torch.zeros(len(log_probabilities), requires_grad=True)  # softplus keeps the weights positive
    optimizer = torch.optim.LBFGS([raw], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = torch.tensordot(torch.nn.functional.softplus(raw), log_probabilities, dims=1)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    scale = torch.nn.functional.softplus(raw).detach()
    return Fusion(scale / scale.sum(), (1 / scale.sum()).item())


class ChangedWindows(Windows):
    """Windows of a split as they are after an augmentation, the same every time."""

    def __init__(self, index: Index, split: str, front_end: str, change: Augmentation):
        super().__init__(index, split, front_end)
        self.change = change

    def all(self, tracks: np.ndarray) -> Tensor:
        """A track is changed in one way, all of its windows alike."""
        torch.manual_seed(int(tracks[0]))
        windows = super().all(tracks).movedim(1, 2)  # bands first
        return self.change(windows.flatten(2)).unflatten(2, windows.shape[2:]).movedim(1, 2)


def member_log_probabilities(
    members: dict, index: Index, split: str, change: Augmentation | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Each member's (tracks, windows, labels) log-probabilities of a split, and the true labels (tracks,).

    With a change, those of the tracks as they are after it.
    """
    results = {}
    for name, member in members.items():
        front_end = front_end_name(member.log_mel.config)
        windows = ChangedWindows(index, split, front_end, change) if change else Windows(index, split, front_end)
        results[name] = track_log_probabilities(member, windows)
    return results, windows.labels


def fit_fusions(
    members: dict, as_it_is: dict[str, Tensor], by_phone: dict[str, Tensor], labels: Tensor
) -> tuple[Fusion, Fusion]:
    """Fusion of the members for a window, by the first one of each track, and for a track.

    Weights are fitted on tracks as they are and as a phone hears them, since people play songs to their phones; the
    temperature on the tracks as they are.

    Args:
        as_it_is, by_phone: log-probabilities of the same tracks, as `member_log_probabilities` gives them.
        labels: true ones, shape (tracks,).
    """
    both = as_it_is, by_phone
    window = [torch.stack([heard[name][:, 0] for name in window_members(members)]) for heard in both]
    track = [torch.stack([average_windows(heard[name]) for name in members]) for heard in both]
    return _fit_on_both(*window, labels), _fit_on_both(*track, labels)


def _fit_on_both(as_it_is: Tensor, by_phone: Tensor, labels: Tensor) -> Fusion:
    """Weights for both, temperature for the first, from log-probabilities (members, tracks, labels)."""
    weights = fit_fusion(torch.cat([as_it_is, by_phone], dim=1), labels.repeat(2)).weights
    return Fusion(weights, fit_fusion(torch.tensordot(weights, as_it_is, dims=1)[None], labels).temperature)


def fit_certainty(probabilities: Tensor, labels: Tensor) -> Certainty:
    """From which confidence on a genre may be named alone, and which genres are plausible.

    The plausible ones are a split conformal set with the true genre's probability as its score (Sadinle et al., 2019):
    on recordings like those of validation it holds the true one for `COVERAGE` of them.

    Args:
        probabilities: of recordings that were not trained on, shape (tracks, labels).
        labels: true ones, shape (tracks,).
    """
    of_truth = probabilities.gather(1, labels[:, None])[:, 0].sort().values
    missed = int((1 - COVERAGE) * (len(labels) + 1))  # this many of the tracks may fall below
    confidence, order = probabilities.amax(-1).sort(descending=True)
    correct = (probabilities.argmax(-1) == labels)[order].double()
    right_so_far = correct.cumsum(0) / torch.arange(1, len(labels) + 1)
    last_of_its_kind = torch.cat([confidence.diff() != 0, torch.tensor([True])])
    enough = confidence[(right_so_far >= SURE) & last_of_its_kind]
    return Certainty(
        sure_from=enough.min().item() if len(enough) else 1.0,
        plausible_from=of_truth[max(0, missed - 1)].item(),
    )


def evaluate(checkpoint: Checkpoint, index: Index, split: str) -> tuple[dict, Tensor]:
    """Figures of a checkpoint on one split of a data folder, and each track's probabilities, shape (tracks, labels).

    `first_window` fuses the members on each track's first window. `track` is the verdict on the whole track, every
    member over the windows that its array holds. `members` has each member's own figures, by its mean probability.
    """
    log_probabilities, labels = member_log_probabilities(checkpoint.members, index, split)
    first = checkpoint.window_probabilities({name: one[:, 0] for name, one in log_probabilities.items()})
    track = checkpoint.track_probabilities(log_probabilities)
    figures = {
        "tracks": len(labels),
        "first_window": _figures(first, labels),
        "track": _figures(track, labels)
        | {"certainty": _certainty(track, labels, checkpoint.certainty)}
        | _per_genre(track, labels, checkpoint.labels),
        "members": {
            name: {
                "windows_per_track": one.shape[1],
                "first_window_top1": _top(one[:, 0], labels, 1),
                "all_windows_top1": _top(one.flatten(0, 1), labels.repeat_interleave(one.shape[1]), 1),
                "track_top1": _top(average_windows(one), labels, 1),
                "track_negative_log_likelihood": _loss(average_windows(one), labels),
            }
            for name, one in log_probabilities.items()
        },
    }
    return figures, track


def write_predictions(file: Path, index: Index, split: str, probabilities: Tensor) -> None:
    """Each track's id, true genre and probabilities as CSV, for `read_predictions` and whoever checks the figures."""
    tracks = index.of(split)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["track_id", "genre", *index.genres])
        for track, row in zip(tracks, probabilities.tolist(), strict=True):
            writer.writerow([index.ids[track], index.genres[index.labels[track]], *(f"{p:.4f}" for p in row)])


def read_predictions(file: Path) -> tuple[list[str], Tensor, Tensor]:
    """What `write_predictions` wrote: track ids, probabilities (tracks, labels) and true labels (tracks,)."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    genres = list(rows[0])[2:]
    probabilities = torch.tensor([[float(row[genre]) for genre in genres] for row in rows])
    return [row["track_id"] for row in rows], probabilities, torch.tensor([genres.index(row["genre"]) for row in rows])


def _figures(probabilities: Tensor, labels: Tensor) -> dict:
    confidence, predicted = probabilities.max(-1)
    correct = predicted == labels
    surest = confidence.argsort(descending=True)[: len(labels) // 2]
    return {
        "top1": _round(correct),
        "top1_interval_95": wilson_interval(int(correct.sum()), len(labels)),
        "top3": _top(probabilities, labels, 3),
        "top1_of_surest_half": _round(correct[surest]),
        "calibration_error": round(calibration_error(confidence, correct), 4),
        "negative_log_likelihood": _loss(probabilities.log(), labels),
    }


def _certainty(probabilities: Tensor, labels: Tensor, certainty: Certainty) -> dict:
    """How often a genre is named alone and right then, and how the conformal set fares."""
    confidence, predicted = probabilities.max(-1)
    sure = confidence >= certainty.sure_from
    plausible = probabilities >= certainty.plausible_from
    return {
        "named_alone": _round(sure),
        "top1_where_named_alone": _round((predicted == labels)[sure]) if sure.any() else None,
        "conformal_coverage": _round(plausible.gather(1, labels[:, None])),
        "conformal_size": round(plausible.sum(1).float().mean().item(), 2),
    }


def _per_genre(probabilities: Tensor, labels: Tensor, genres: list[str]) -> dict:
    predicted = probabilities.argmax(-1)
    confusion = torch.zeros(len(genres), len(genres), dtype=torch.long)
    confusion.index_put_((labels, predicted), torch.ones_like(labels), accumulate=True)
    recall = confusion.diagonal() / confusion.sum(1).clamp(min=1)
    return {
        "recall": {genre: round(r, 4) for genre, r in zip(genres, recall.tolist(), strict=True)},
        "confusion": {"rows": "true", "columns": "predicted", "labels": genres, "counts": confusion.tolist()},
    }


def wilson_interval(correct: int, total: int, z: float = 1.96) -> list[float]:
    """95 % interval of a proportion (Wilson, 1927)."""
    p = correct / total
    centre = p + z * z / (2 * total)
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return [round((centre + side * spread) / (1 + z * z / total), 4) for side in (-1, 1)]


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error (Guo et al., 2017): mean gap between confidence and accuracy over equal bins."""
    which = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [
        (confidence[which == b].mean() - correct[which == b].float().mean()).abs().item() * (which == b).sum().item()
        for b in which.unique()
    ]
    return sum(gaps) / len(confidence)


def _top(scores: Tensor, labels: Tensor, k: int) -> float:
    k = min(k, scores.shape[-1])
    return _round((scores.topk(k, dim=-1).indices == labels[:, None]).any(-1))


def _loss(log_probabilities: Tensor, labels: Tensor) -> float:
    return round(torch.nn.functional.nll_loss(log_probabilities, labels).item(), 4)


def _round(correct: Tensor) -> float:
    return round(correct.float().mean().item(), 4)
