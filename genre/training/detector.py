"""Fit a model's music detector (`MusicDetector`) on tracks of the sources and recordings without music."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from genre.audio.audio import CLIP_SECONDS, Audio, window_starts
from genre.audio.folders import find_audio
from genre.data.dataset import DataSet
from genre.data.windows import Windows, front_end_name
from genre.errors import AudioError, DataError
from genre.features.augment import NO_CHANGE
from genre.files import printable
from genre.models.member import Member
from genre.models.model import MusicDetector

TRACKS, WINDOWS_PER_TRACK = 1600, 4  # of the training split of each source at most
VALIDATION_EVERY = 5  # one recording without music in five chooses the penalty
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
TOLERANCE = 1e-8  # of the fit
FALSE_ALARMS = 0.02  # fraction of the validation tracks that are not detected as music
BATCH = 64
LOW_PASSED = replace(NO_CHANGE, low_pass=1.0)


def fit_music_detector(music: Tensor, not_music: Tensor, member: str, penalty: float = 1e-3) -> MusicDetector:
    """Fit a detector on two sets of windows, which have the same weight whatever their sizes.

    Args:
        music, not_music: features of windows, shape (windows, features) each.
        member: name of the member whose features these are.
        penalty: factor of the squared weights of the standardised features in the loss.
    """
    features = torch.cat([music, not_music]).double()
    mean, std = features.mean(0), features.std(0) + 1e-3
    targets = np.repeat([1, 0], [len(music), len(not_music)])
    # scikit-learn's loss is the sum over windows, times C, plus half of the squared weights.
    strength = 0.5 / penalty / len(features)
    model = LogisticRegression(C=strength, class_weight="balanced", solver="newton-cholesky", tol=TOLERANCE)
    model.fit(((features - mean) / std).numpy(), targets)
    weight = torch.from_numpy(model.coef_[0]) / std
    return MusicDetector(member, weight.float(), (model.intercept_[0] - weight @ mean).item())


@dataclass(frozen=True)
class Examples:
    """Features of a member on which a detector is fitted.

    Attributes:
        member: its name.
        music: of windows of training tracks, shape (windows, features).
        validation: of the windows of each validation track, shape (windows, features) each, by source.
        other: of the windows of each recording without music, shape (windows, features) each.
    """

    member: str
    music: Tensor
    validation: dict[str, list[Tensor]]
    other: list[Tensor]

    @property
    def validation_tracks(self) -> list[Tensor]:
        return [track for tracks in self.validation.values() for track in tracks]


def gather(member: Member, name: str, data: DataSet, material: Path) -> Examples:
    """Compute the features on which a detector is fitted.

    A fifth of the windows of music is low-passed, so that a lack of high frequencies does not count as speech.

    Args:
        member: computes the features.
        name: of the member.
        data: sources with training and validation tracks.
        material: folder of recordings without music, also in sub-folders; the first 30 s of each are used. Those that
            cannot be decoded are printed and left out.

    Raises:
        DataError: the material is missing, or the data has no array for the member.
    """
    other = []
    for path in find_audio(material).files:
        try:
            other.append(embed_file(member, path))
        except AudioError as error:
            print(f"{printable(path.relative_to(material).as_posix())}: {error} It is left out.")
    if len(other) < VALIDATION_EVERY:
        raise DataError(f"{material} holds {len(other)} recordings without music; it needs {VALIDATION_EVERY}.")
    front_end = front_end_name(member.log_mel.config)
    training = [Windows(source, "training", front_end) for source in data.sources if len(source.of("training"))]
    validation = {source.name: Windows(source, "validation", front_end) for source in data.sources}
    return Examples(
        name,
        torch.cat([embed_training(member, windows) for windows in training]),
        {source: embed_validation(member, windows) for source, windows in validation.items() if len(windows)},
        other,
    )


def fit_examples(examples: Examples) -> MusicDetector:
    """Fit a detector with penalty and threshold chosen on validation.

    The penalty has the lowest loss on the windows of the validation tracks and of a fifth of the recordings without
    music. Then the detector is fitted with all of these recordings, and `FALSE_ALARMS` of the validation tracks are
    below the threshold.
    """
    held_out = torch.cat(examples.other[::VALIDATION_EVERY])
    rest = torch.cat([one for i, one in enumerate(examples.other) if i % VALIDATION_EVERY])

    def validation_loss(penalty: float) -> float:
        detector = fit_music_detector(examples.music, rest, examples.member, penalty)
        return log_loss(detector, torch.cat(examples.validation_tracks), held_out)

    penalty = min(PENALTIES, key=validation_loss)
    detector = fit_music_detector(examples.music, torch.cat(examples.other), examples.member, penalty)
    probabilities = torch.tensor([detector.recording(detector(track)) for track in examples.validation_tracks])
    detector.threshold = probabilities.quantile(FALSE_ALARMS).item()
    return detector


def log_loss(detector: MusicDetector, music: Tensor, not_music: Tensor) -> float:
    """Mean negative log-likelihood of two sets of windows of equal weight, shape (windows, features) each."""
    sides = detector(music), -detector(not_music)
    return -torch.stack([torch.nn.functional.logsigmoid(logits).mean() for logits in sides]).mean().item()


def embed_training(member: Member, windows: Windows) -> Tensor:
    """Features of random windows of evenly spaced tracks and of a low-passed one each, shape (windows, features)."""
    generator = np.random.default_rng(0)
    tracks = np.linspace(0, len(windows) - 1, min(TRACKS, len(windows))).astype(int)

    def draw() -> Tensor:
        return windows.random(tracks, windows.random_starts(tracks, generator), generator)

    drawn = torch.cat([draw() for _ in range(WINDOWS_PER_TRACK)])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        low_passed = LOW_PASSED(draw())
    return pooled_features(member, torch.cat([drawn, low_passed]))


def embed_validation(member: Member, windows: Windows) -> list[Tensor]:
    """Features of every other window of each track, shape (windows, features) each."""
    half = windows.all(np.arange(len(windows)))[:, ::2]
    return list(pooled_features(member, half.flatten(0, 1)).unflatten(0, half.shape[:2]))


def embed_file(member: Member, path: Path) -> Tensor:
    """Features of the windows of a recording's first 30 s, half a window apart, shape (windows, features)."""
    config = member.log_mel.config
    clip = torch.from_numpy(Audio(path).samples(config.sample_rate, seconds=CLIP_SECONDS))
    starts = window_starts(len(clip) / config.sample_rate, config.window_seconds, config.window_seconds / 2)
    device = next(member.parameters()).device
    return pooled_features(member, member.log_mel(clip.to(device), torch.tensor(starts, dtype=torch.float64)))


@torch.inference_mode()
def pooled_features(member: Member, windows: Tensor) -> Tensor:
    """Windows in dB, shape (windows, bands, columns), to features on the CPU, shape (windows, features)."""
    device = next(member.parameters()).device
    return torch.cat([member.embed(batch.to(device)).float().cpu() for batch in windows.split(BATCH)])
