"""Calibration of a model on validation: fusion weights, temperature, bias, thresholds."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from genre.data.dataset import DataSet, Source
from genre.data.windows import Windows, first_of_song, front_end_name, mean_by_song
from genre.features.augment import NO_CHANGE
from genre.models.member import Member
from genre.models.model import Fusion, GenreModel, Thresholds, average_windows

BATCH_TRACKS = 32  # that are classified at once
COVERAGE = 0.9  # of the prediction set: how often it contains the true genre
CONFIDENT_ACCURACY = 2 / 3  # of the most probable genre where it is named alone
ONE_SIDED_Z = NormalDist().inv_cdf(0.8)  # for a lower confidence limit of that accuracy with a level of 80 %
# On the sum of its squares, in nats; by cross-validation over artists on FMA-small and songs beyond it.
BIAS_PENALTY = 0.3
MIN_TRACKS = 30  # of a source, for which accuracy is estimated separately
BY_PHONE = replace(NO_CHANGE, phone=1.0)  # simulated phone recordings of all tracks


@dataclass(frozen=True)
class Samples:
    """Tracks of all sources with weights: songs of a source have the same, which sum to its share, all to 1.

    Attributes:
        log_probabilities: of each member, shape (members, tracks, labels).
        labels: true ones, shape (tracks,), or a distribution over them, shape (tracks, labels).
        weights: shape (tracks,).
    """

    log_probabilities: Tensor
    labels: Tensor
    weights: Tensor


class ChangedWindows(Windows):
    """Windows of a split after a deterministic change, such as an augmentation."""

    def __init__(self, source: Source, split: str, front_end: str, change: Callable[[Tensor], Tensor]):
        super().__init__(source, split, front_end)
        self.change = change

    def all(self, tracks: np.ndarray) -> Tensor:
        """As `Windows.all`; all windows of a track are changed by the same random numbers."""
        windows = super().all(tracks).movedim(1, 2)  # bands first
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(tracks[0]))
            return self.change(windows.flatten(2)).unflatten(2, windows.shape[2:]).movedim(1, 2)


def track_log_probabilities(member: Member, windows: Windows) -> Tensor:
    """Log-probabilities of every window that covers each track, shape (tracks, windows, labels), on its device."""
    device = next(member.parameters()).device
    member.eval()
    results = []
    with torch.inference_mode():
        for tracks in np.split(np.arange(len(windows)), range(BATCH_TRACKS, len(windows), BATCH_TRACKS)):
            batch = windows.all(tracks)
            logits = member(batch.flatten(0, 1).to(device)).float()
            results.append(logits.log_softmax(-1).unflatten(0, batch.shape[:2]))
    return torch.cat(results)


def member_log_probabilities(
    model: GenreModel, source: Source, split: str, change: Callable[[Tensor], Tensor] | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Each member's (tracks, windows, labels) log-probabilities of a split, and the true labels (tracks,).

    With `change`, windows in dB, shape (batch, bands, columns), are changed by it first.

    Raises:
        DataError: the source has no array for the front end of a member.
    """
    results = {}
    for name, member in model.members.items():
        front_end = front_end_name(member.log_mel.config)
        windows = ChangedWindows(source, split, front_end, change) if change else Windows(source, split, front_end)
        results[name] = track_log_probabilities(member, windows)
    return results, windows.labels.to(model.device)


def calibrate(model: GenreModel, data: DataSet) -> None:
    """Fit a model's fusion of windows, on the first one of each track, that of tracks, and its thresholds.

    Everything is fitted on the validation tracks of all sources. Fusion weights are fitted on the tracks as they are
    and on simulated phone recordings of them (`BY_PHONE`), a common input of the page; temperature, bias and thresholds
    on the tracks as they are.

    Raises:
        DataError: a source has no array for the front end of a member.
    """
    used = data.with_split("validation")
    songs = [source.songs_of("validation")[1] for source, _ in used]
    plain = [member_log_probabilities(model, source, "validation") for source, _ in used]
    phone = [member_log_probabilities(model, source, "validation", BY_PHONE) for source, _ in used]
    shares = [share for _, share in used]
    first, members = model.window_members, list(model.members)
    model.window_fusion = fit_on_both(
        *(_samples(one, shares, songs, first, first_window=True) for one in (plain, phone))
    )
    tracks = _samples(plain, shares, songs, members)
    model.track_fusion = fit_on_both(tracks, _samples(phone, shares, songs, members))
    by_source = model.track_fusion(tracks.log_probabilities).split([len(one) for one in songs])
    probabilities = [mean_by_song(one, of) for one, of in zip(by_source, songs, strict=True)]
    labels = [truth[first_of_song(of)] for (_, truth), of in zip(plain, songs, strict=True)]
    lengths = [len(one) for one in labels]
    weights = [torch.full((n,), share / sum(shares) / n) for n, share in zip(lengths, shares, strict=True)]
    model.thresholds = fit_thresholds(torch.cat(probabilities), torch.cat(labels), torch.cat(weights), lengths)


def fit_fusion(samples: Samples) -> Fusion:
    """Weights and temperature with the lowest weighted cross-entropy, by L-BFGS."""
    # Softplus makes the weights positive.
    raw = samples.weights.new_zeros(len(samples.log_probabilities), requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = torch.tensordot(torch.nn.functional.softplus(raw), samples.log_probabilities, dims=1)
        loss = samples.weights @ torch.nn.functional.cross_entropy(logits, samples.labels, reduction="none")
        loss.backward()
        return loss

    optimizer.step(closure)
    scale = torch.nn.functional.softplus(raw).detach()
    return Fusion(scale / scale.sum(), (1 / scale.sum()).item())


def fit_thresholds(probabilities: Tensor, labels: Tensor, weights: Tensor, lengths: list[int]) -> Thresholds:
    """The confidence from which a genre is named alone, and the probability from which one is in the prediction set.

    A genre named alone is right in `CONFIDENT_ACCURACY` of the cases in every source of at least `MIN_TRACKS` tracks,
    by the lower confidence limit: the accuracy itself would favour a threshold that is too low by chance (Geifman and
    El-Yaniv, 2017, "Selective Classification for Deep Neural Networks").
    The prediction set is split conformal with the true genre's probability as its score (Sadinle et al., 2019): it
    contains the true genre of `COVERAGE` of the recordings, sources weighted by their shares, where recordings are
    exchangeable with those of validation.

    Args:
        probabilities: of recordings that were not trained on, shape (tracks, labels).
        labels: true ones, shape (tracks,).
        weights: of the tracks, shape (tracks,), with a sum of 1.
        lengths: number of tracks of each source, in order.
    """
    of_truth, order = probabilities.gather(1, labels[:, None])[:, 0].sort()
    missed = weights[order].cumsum(0) <= 1 - COVERAGE  # tracks whose true genre may be outside of the set
    by_source = zip(probabilities.split(lengths), labels.split(lengths), strict=True)
    alone = [_named_alone(p, truth) for p, truth in by_source if len(truth) >= min(MIN_TRACKS, max(lengths))]
    rank = int(missed.sum())  # with few recordings only the set of all genres contains the true one often enough
    return Thresholds(named_alone=max(alone), prediction_set=of_truth[rank - 1].item() if rank else 0.0)


def _named_alone(probabilities: Tensor, labels: Tensor) -> float:
    """The lowest confidence above which accuracy is at least `CONFIDENT_ACCURACY`; 1 where there is none."""
    confidence, order = probabilities.cpu().amax(-1).sort(descending=True)
    correct = (probabilities.argmax(-1) == labels).cpu()[order].cumsum(0).tolist()
    accuracy = torch.tensor([wilson_interval(right, total, ONE_SIDED_Z)[0] for total, right in enumerate(correct, 1)])
    last_of_equal = torch.cat([confidence.diff() != 0, torch.tensor([True])])
    enough = confidence[(accuracy >= CONFIDENT_ACCURACY) & last_of_equal]
    return enough.min().item() if len(enough) else 1.0


def wilson_interval(correct: int, total: int, z: float = 1.96) -> list[float]:
    """Score interval of a proportion (Wilson, 1927), of 95 % by default."""
    p = correct / total
    centre = p + z * z / (2 * total)
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return [round((centre + side * spread) / (1 + z * z / total), 4) for side in (-1, 1)]


def _samples(
    sources: list[tuple[dict[str, Tensor], Tensor]],
    shares: list[float],
    songs: list[np.ndarray],
    names: list[str],
    first_window: bool = False,
) -> Samples:
    """Log-probabilities of these members, of each track's first window or averaged over its windows."""
    members = [
        torch.stack([one[name][:, 0] if first_window else average_windows(one[name]) for name in names])
        for one, _ in sources
    ]
    labels = [truth for _, truth in sources]
    weights = [
        share / sum(shares) / (of.max() + 1) / np.bincount(of)[of] for of, share in zip(songs, shares, strict=True)
    ]
    log_probabilities = torch.cat(members, dim=1)
    by_track = torch.from_numpy(np.concatenate(weights)).float().to(log_probabilities.device)
    return Samples(log_probabilities, torch.cat(labels), by_track)


def fit_on_both(plain: Samples, phone: Samples) -> Fusion:
    """Fit the weights on both sets of tracks, temperature and bias on the first."""
    both = Samples(
        torch.cat([plain.log_probabilities, phone.log_probabilities], dim=1),
        torch.cat([plain.labels, phone.labels]),
        torch.cat([plain.weights, phone.weights]) / 2,
    )
    weights = fit_fusion(both).weights
    return Fusion(weights, *_fit_temperature_and_bias(torch.tensordot(weights, plain.log_probabilities, dims=1), plain))


def _fit_temperature_and_bias(fused: Tensor, samples: Samples) -> tuple[float, Tensor]:
    """Bias-corrected temperature scaling (Alexandari et al., 2020), with a penalty on the bias.

    Args:
        fused: weighted sums of the members' log-probabilities, shape (tracks, labels).

    Returns:
        the temperature, and the bias, shape (labels,).
    """
    log_scale, bias = fused.new_zeros(1, requires_grad=True), fused.new_zeros(fused.shape[-1], requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = fused * log_scale.exp() + bias
        loss = samples.weights @ torch.nn.functional.cross_entropy(logits, samples.labels, reduction="none")
        penalised = loss + BIAS_PENALTY * bias.square().sum()
        penalised.backward()
        return penalised

    optimizer.step(closure)
    return (-log_scale).exp().item(), bias.detach()
