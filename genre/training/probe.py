"""Linear probe: new heads for other genres, on the networks of a checkpoint as they are.

The head of a member is a multinomial logistic regression on its pooled features (Alain and Bengio, 2016,
"Understanding intermediate layers using linear classifier probes"). Fusion, limits and figures come from
cross-validation: every song is classified by heads that were fitted without it and without the other songs of its
artist.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from genre.models.checkpoint import Checkpoint, ConfidenceLimits, Fusion, average_windows, window_members
from genre.training.calibrate import Samples, fit_fusion, fit_limits
from genre.training.evaluate import summary
from genre.training.folds import Song, assign_folds, check_songs, group_songs

PENALTY = 1.0  # factor of the squared weights of the standardised features in the loss, see docs/experiments.md
MAX_ITERATIONS, TOLERANCE, HISTORY = 200, 1e-4, 10  # of L-BFGS


@dataclass(frozen=True)
class Head:
    """A linear classifier on a member's pooled features: weight (labels, features), bias (labels,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Features (windows, features) to log-probabilities (windows, labels)."""
        return functional.linear(features, self.weight, self.bias).log_softmax(-1)


@dataclass(frozen=True)
class Probe:
    """What was fitted to songs, and how right it is on songs that it was not fitted to.

    Attributes:
        genres: labels, sorted.
        heads: by member.
        window, track, limits: as in a checkpoint.
        songs: those that were used.
        probabilities: of the songs by cross-validation, shape (songs, labels).
        figures: of these, as in metrics.json.
        folds: number of them.
        left_out: a sentence for each song that was not used.
        caveats: sentences on what may make the figures too high.
    """

    genres: list[str]
    heads: dict[str, Head]
    window: Fusion
    track: Fusion
    limits: ConfidenceLimits
    songs: list[Song]
    probabilities: Tensor
    figures: dict
    folds: int
    left_out: list[str]
    caveats: list[str]

    def contradicted(self) -> list[tuple[Song, str, float]]:
        """Songs that the others contradict, most first: the song, the genre it got, the probability of its own."""
        rows = zip(self.songs, self.probabilities.argmax(-1).tolist(), self.probabilities.tolist(), strict=True)
        found = [(song, self.genres[top], row[self.genres.index(song.genre)]) for song, top, row in rows]
        return sorted((one for one in found if one[0].genre != one[1]), key=lambda one: one[2])


def fit_probe(songs: list[Song], checkpoint: Checkpoint) -> Probe:
    """Fit heads, fusion and limits to songs.

    Args:
        songs: with the features of all members of the checkpoint.
        checkpoint: to whose members the heads belong.

    Raises:
        DataError: these songs cannot be learned from, see `check_songs`.
    """
    songs, left_out = check_songs(songs)
    songs = sorted(songs, key=lambda song: song.embedding.digest)  # so that the result does not depend on the order
    groups, caveats = group_songs(songs)
    genres = sorted({song.genre for song in songs})
    labels = torch.tensor([genres.index(song.genre) for song in songs])
    folds = torch.tensor(assign_folds([song.genre for song in songs], groups))
    features = {name: [song.embedding.features[name] for song in songs] for name in checkpoint.members}
    held_out = {name: _held_out(one, labels, folds, len(genres)) for name, one in features.items()}
    windows = [
        torch.stack(one) for one in zip(*(held_out[name] for name in window_members(checkpoint.members)), strict=True)
    ]
    tracks = torch.stack([torch.stack(list(map(average_windows, one))) for one in held_out.values()])
    window = _fit_fusion(windows, labels)
    track = _fit_fusion(list(tracks[:, :, None].unbind(1)), labels)
    probabilities = _cross_fitted(tracks, labels, folds)
    equal = torch.full((len(labels),), 1 / len(labels))
    limits = fit_limits(probabilities, labels, equal, [len(labels)])
    first = torch.stack([window(song[:, 0]) for song in windows])
    return Probe(
        genres=genres,
        heads={name: fit_head(one, labels, len(genres)) for name, one in features.items()},
        window=window,
        track=track,
        limits=limits,
        songs=songs,
        probabilities=probabilities,
        figures=summary(first, probabilities, labels, genres, limits) | _members(tracks, labels, list(held_out)),
        folds=len(folds.unique()),
        left_out=left_out,
        caveats=caveats,
    )


def fit_head(features: list[Tensor], labels: Tensor, genres: int) -> Head:
    """Multinomial logistic regression on windows, by L-BFGS; genres have the same weight, and so have songs of one.

    Args:
        features: of each song, shape (windows, features).
        labels: of the songs, shape (songs,).
        genres: number of labels; a label may have no song.
    """
    windows, counts = torch.cat(features), torch.tensor([len(one) for one in features])
    mean, std = windows.mean(0), windows.std(0, correction=0) + 1e-3
    standardised, targets = (windows - mean) / std, labels.repeat_interleave(counts)
    songs_of_label = labels.bincount(minlength=genres)
    weights = (1 / (songs_of_label[labels] * counts * labels.unique().numel())).repeat_interleave(counts)
    weight, bias = torch.zeros(genres, windows.shape[1], requires_grad=True), torch.zeros(genres, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=TOLERANCE,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = functional.linear(standardised, weight, bias)
        loss = weights @ functional.cross_entropy(logits, targets, reduction="none") + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    raw = weight.detach() / std
    return Head(raw, bias.detach() - raw @ mean)


def _held_out(features: list[Tensor], labels: Tensor, folds: Tensor, genres: int) -> list[Tensor]:
    """Log-probabilities of each song's windows, (windows, labels), by a head that was fitted without its fold."""
    results: dict[int, Tensor] = {}
    for fold in folds.unique():
        others, own = (folds != fold).nonzero()[:, 0].tolist(), (folds == fold).nonzero()[:, 0].tolist()
        head = fit_head([features[i] for i in others], labels[others], genres)
        results |= {i: head(features[i]) for i in own}
    return [results[i] for i in range(len(features))]


def _fit_fusion(songs: list[Tensor], labels: Tensor) -> Fusion:
    """Fusion weights and temperature by the log-probabilities of songs, (members, windows, labels) each.

    Few songs may all be right, for which the best temperature would be zero. The targets are therefore those of Platt
    (1999): the true genre of n songs has (n + 1) / (n + labels), every other one 1 / (n + labels).
    """
    counts, genres = torch.tensor([song.shape[1] for song in songs]), songs[0].shape[2]
    numbers = labels.bincount(minlength=genres)[labels][:, None]
    targets = (functional.one_hot(labels, genres) * numbers + 1) / (numbers + genres)
    weights = (1 / (len(songs) * counts)).repeat_interleave(counts)
    return fit_fusion(Samples(torch.cat(songs, dim=1), targets.repeat_interleave(counts, dim=0), weights))


def _cross_fitted(tracks: Tensor, labels: Tensor, folds: Tensor) -> Tensor:
    """Probabilities of songs, (songs, labels), by a fusion of (members, songs, labels) fitted without their fold."""
    probabilities = torch.empty(tracks.shape[1:])
    for fold in folds.unique():
        own = folds == fold
        fusion = _fit_fusion(list(tracks[:, ~own, None].unbind(1)), labels[~own])
        probabilities[own] = fusion(tracks[:, own])
    return probabilities


def _members(tracks: Tensor, labels: Tensor, names: list[str]) -> dict:
    """The entry `members` of the figures."""
    correct = (tracks.argmax(-1) == labels).float().mean(-1).tolist()
    return {"members": {name: {"track_top1": round(one, 4)} for name, one in zip(names, correct, strict=True)}}
