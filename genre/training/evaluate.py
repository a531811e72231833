"""Evaluation of a model on a split: accuracy with its interval, calibration, recall by genre, confusion."""

import csv
from pathlib import Path

import torch
from torch import Tensor

from genre.data.dataset import DataSet, Source
from genre.data.windows import first_of_song, mean_by_song
from genre.errors import DataError
from genre.files import replaced
from genre.models.model import GenreModel, Thresholds, average_windows
from genre.training.calibrate import member_log_probabilities, wilson_interval

CALIBRATION_BINS = 15


def check_genres(model: GenreModel, data: DataSet) -> None:
    """Raise DataError if a model is for other genres than those of the data."""
    if model.labels != data.genres:
        raise DataError(
            f"{model.name} classifies {', '.join(model.labels)}, the data has {', '.join(data.genres)}; "
            "give all of the sources that it was trained on. train.py's --counts-as renames genres."
        )


def evaluate_sources(model: GenreModel, data: DataSet, split: str, predictions: Path | None = None) -> dict[str, dict]:
    """Evaluate a model on a split of each source, and print the figures.

    Args:
        model: with the genres of the data.
        data: sources; those without tracks of the split are left out.
        split: "validation" or "test".
        predictions: folder for each track's probabilities, as SOURCE-SPLIT.csv; None writes none.

    Returns:
        the figures of `evaluate` by source.

    Raises:
        DataError: the model is for other genres.
    """
    check_genres(model, data)
    results = {}
    for source in data.sources:
        if not len(source.of(split)):
            continue
        results[source.name], probabilities = evaluate(model, source, split)
        print(format_figures(results[source.name], f"{source.name} {split}"))
        if predictions:
            write_predictions(predictions / f"{source.name}-{split}.csv", source, data.genres, split, probabilities)
    return results


def format_figures(figures: dict, title: str) -> str:
    """Lines with the figures of `evaluate`."""
    lines = []
    for level in ("first_window", "track"):
        one = figures[level]
        low, high = one["top1_interval_95"]
        lines.append(
            f"{title:>24}  {level.replace('_', ' '):<12}  top-1 {one['top1']:.1%} ({low:.1%} to {high:.1%})  "
            f"top-3 {one['top3']:.1%}  calibration error {one['calibration_error']:.1%}"
        )
    for name, one in figures["members"].items():
        lines.append(f"{title:>24}  {name:<12}  " + "  ".join(f"{key} {value}" for key, value in one.items()))
    return "\n".join(lines)


def evaluate(model: GenreModel, source: Source, split: str) -> tuple[dict, Tensor]:
    """Figures of a model on one split of a source, and each song's probabilities, shape (songs, labels).

    `first_window` fuses the members on the first window of each song. `track` is the prediction for the whole song:
    every member over the windows in its array, and the mean over clips where a song has several. `members` has the
    figures of each member by its mean probabilities.

    Raises:
        DataError: the source has no array for the front end of a member.
    """
    log_probabilities, of_clips = member_log_probabilities(model, source, split)
    song_of = source.songs_of(split)[1]
    starts = first_of_song(song_of)
    first = model.window_probabilities({name: one[starts, 0] for name, one in log_probabilities.items()})
    track = mean_by_song(model.track_probabilities(log_probabilities), song_of)
    labels = of_clips[starts]
    songs = {name: mean_by_song(average_windows(one).exp(), song_of).log() for name, one in log_probabilities.items()}
    figures = summary(first, track, labels, model.labels, model.thresholds) | {
        "members": {
            name: {
                "windows_per_track": one.shape[1],
                "first_window_top1": _top(one[starts, 0], labels, 1),
                "all_windows_top1": _top(one.flatten(0, 1), of_clips.repeat_interleave(one.shape[1]), 1),
                "track_top1": _top(songs[name], labels, 1),
                "track_negative_log_likelihood": _loss(songs[name], labels),
            }
            for name, one in log_probabilities.items()
        },
    }
    return figures, track


def summary(first: Tensor, track: Tensor, labels: Tensor, genres: list[str], thresholds: Thresholds) -> dict:
    """Figures of probabilities for first windows and for tracks, shape (tracks, labels) each, as in metrics.json."""
    return {
        "tracks": len(labels),
        "first_window": _figures(first, labels),
        "track": _figures(track, labels)
        | {"limits": _at_thresholds(track, labels, thresholds)}
        | _per_genre(track, labels, genres),
    }


def write_predictions(file: Path, source: Source, genres: list[str], split: str, probabilities: Tensor) -> None:
    """Write each song's name, genre and probabilities, shape (songs, labels), as CSV for `read_predictions`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    songs, song_of = source.songs_of(split)
    labels = source.labels[source.of(split)][first_of_song(song_of)]
    with replaced(file) as new, new.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        writer = csv.writer(out)
        writer.writerow(["track_id", "genre", *genres])
        for song, label, row in zip(songs, labels.tolist(), probabilities.tolist(), strict=True):
            writer.writerow([song, genres[label], *(f"{p:.4f}" for p in row)])


def read_predictions(file: Path) -> tuple[list[str], Tensor, Tensor]:
    """Read a CSV of `write_predictions`: track ids, probabilities (tracks, labels) and true labels (tracks,)."""
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as table:
        rows = list(csv.DictReader(table))
    genres = list(rows[0])[2:]
    probabilities = torch.tensor([[float(row[genre]) for genre in genres] for row in rows])
    return [row["track_id"] for row in rows], probabilities, torch.tensor([genres.index(row["genre"]) for row in rows])


def _figures(probabilities: Tensor, labels: Tensor) -> dict:
    confidence, predicted = probabilities.max(-1)
    correct = predicted == labels
    most_confident = confidence.argsort(descending=True)[: max(1, len(labels) // 2)]
    return {
        "top1": _round(correct),
        "top1_interval_95": wilson_interval(int(correct.sum()), len(labels)),
        "top3": _top(probabilities, labels, 3),
        "top1_of_surest_half": _round(correct[most_confident]),
        "calibration_error": round(calibration_error(confidence, correct), 4),
        "negative_log_likelihood": _loss(probabilities.log(), labels),
    }


def _at_thresholds(probabilities: Tensor, labels: Tensor, thresholds: Thresholds) -> dict:
    """Fraction and accuracy of confident predictions; coverage and size of the prediction set."""
    confidence, predicted = probabilities.max(-1)
    confident = confidence >= thresholds.named_alone
    prediction_set = probabilities >= thresholds.prediction_set
    return {
        "named_alone": _round(confident),
        "top1_where_named_alone": _round((predicted == labels)[confident]) if confident.any() else None,
        "conformal_coverage": _round(prediction_set.gather(1, labels[:, None])),
        "conformal_size": round(prediction_set.sum(1).float().mean().item(), 2),
    }


def _per_genre(probabilities: Tensor, labels: Tensor, genres: list[str]) -> dict:
    predicted = probabilities.argmax(-1)
    confusion = labels.new_zeros(len(genres), len(genres))
    confusion.index_put_((labels, predicted), torch.ones_like(labels), accumulate=True)
    recall = confusion.diagonal() / confusion.sum(1).clamp(min=1)
    return {
        "recall": {genre: round(r, 4) for genre, r in zip(genres, recall.tolist(), strict=True)},
        "confusion": {"rows": "true", "columns": "predicted", "labels": genres, "counts": confusion.tolist()},
    }


def calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Expected calibration error (Guo et al., 2017): mean gap between confidence and accuracy over equal bins.

    Args:
        confidence: of predictions, shape (predictions,).
        correct: whether they are right, bool of shape (predictions,).
    """
    which = (confidence * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
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
