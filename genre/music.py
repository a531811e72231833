"""Is it music at all? A logistic regression on what a member's network makes of each window.

Silence, speech, noise and pure tones get a genre like everything else, since the members know nothing but genres. Their
pooled features tell them from music all the same. A checkpoint's folder may hold a detector as `music.safetensors`: the
tensors `weight` and `bias`, and `member` and `threshold` in the metadata.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from genre.audio import decode
from genre.augment import NO_CHANGE
from genre.data import Index, Windows
from genre.errors import CheckpointError, DataError
from genre.frontend import CLIP_SECONDS, window_starts
from genre.model import Member

MUSIC_FILE = "music.safetensors"
MEMBER = "sparse"
TRACKS, WINDOWS_PER_TRACK = 1600, 4  # of the training split
VALIDATION_EVERY = 5  # one file in five of the material chooses the penalty
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
FALSE_ALARMS = 0.02  # part of the validation tracks that are called not music
BATCH = 64
MUFFLED = replace(NO_CHANGE, low_pass=1.0)


@dataclass(frozen=True)
class MusicDetector:
    """Tells music from other sound by a member's pooled features (`Member.embed`).

    Attributes:
        member: whose features.
        weight: of the features, shape (features,).
        bias: added to the weighted sum.
        threshold: a recording whose probability of music is below is not music.
    """

    member: str
    weight: Tensor
    bias: float
    threshold: float = 0.5

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Features of windows, shape (..., features), to the probability that each is music, shape (...)."""
        return self.logits(embeddings).sigmoid()

    def recording(self, embeddings: Tensor) -> float:
        """Probability that a recording is music, from the features of its windows, shape (windows, features).

        Only the half of the windows that is most like music is heard: a song with a spoken introduction is a song.
        """
        logits = self.logits(embeddings)
        return logits.topk((len(logits) + 1) // 2).values.mean().sigmoid().item()

    def is_music(self, embeddings: Tensor) -> bool:
        """Whether a recording is music, from the features of its windows, shape (windows, features)."""
        return self.recording(embeddings) >= self.threshold

    def logits(self, embeddings: Tensor) -> Tensor:
        """As calling it, before the logistic function."""
        return embeddings.float() @ self.weight + self.bias


def fit_music_detector(music: Tensor, not_music: Tensor, member: str = MEMBER, penalty: float = 1e-3) -> MusicDetector:
    """A detector that tells two sets of windows apart; both count the same, however many there are of each.

    Args:
        music, not_music: features of windows, shape (windows, features) each.
        member: whose features.
        penalty: on the squared weights of the standardised features.
    """
    features = torch.cat([music, not_music]).float()
    mean, std = features.mean(0), features.std(0) + 1e-3
    features = (features - mean) / std
    targets = torch.cat([torch.ones(len(music)), torch.zeros(len(not_music))])
    balance = torch.where(targets == 1, 0.5 / len(music), 0.5 / len(not_music))
    weight, bias = torch.zeros(len(mean), requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(features @ weight + bias, targets, balance, reduction="sum")
        loss = loss + penalty * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    raw = weight.detach() / std
    return MusicDetector(member, raw, (bias.detach() - raw @ mean).item())


@dataclass(frozen=True)
class Examples:
    """What a detector is fitted on: features of a member.

    Attributes:
        music: of windows of the training split, shape (windows, features).
        validation: of windows of each validation track, shape (tracks, windows, features).
        other: of the windows of each recording that is not music, shape (windows, features) each.
    """

    music: Tensor
    validation: Tensor
    other: list[Tensor]


def gather(member: Member, index: Index, material: Path, name: str = MEMBER) -> Examples:
    """Compute the features that a detector is fitted on.

    A fifth of the music has nothing above a random band, so that dull sound alone is no sign of speech.

    Args:
        member: whose features.
        index: of a data folder, for its training and validation splits.
        material: folder of folders of recordings that are not music; at most 30 s of each are used.
        name: of the member, which is that of its front end.

    Raises:
        DataError: the material is missing, or the data has no array for the member.
        AudioError: a recording cannot be heard.
    """
    paths = sorted(material.glob("*/*"))
    if len(paths) < VALIDATION_EVERY:
        raise DataError(f"{material} has too few recordings, in folders, of what is not music.")
    return Examples(
        embed_training(member, Windows(index, "training", name)),
        embed_validation(member, Windows(index, "validation", name)),
        [embed_file(member, path) for path in paths],
    )


def fit_examples(examples: Examples, name: str = MEMBER) -> MusicDetector:
    """Choose the penalty and the threshold on validation.

    The penalty is the one that tells the windows of the validation tracks and of a part of the recordings apart best.
    Then all recordings are learned, and the threshold lets `FALSE_ALARMS` of the validation tracks fall below it.
    """
    held = torch.cat(examples.other[::VALIDATION_EVERY])
    rest = torch.cat([one for i, one in enumerate(examples.other) if i % VALIDATION_EVERY])

    def validation_loss(penalty: float) -> float:
        detector = fit_music_detector(examples.music, rest, name, penalty)
        return log_loss(detector, examples.validation.flatten(0, 1), held)

    penalty = min(PENALTIES, key=validation_loss)
    detector = fit_music_detector(examples.music, torch.cat(examples.other), name, penalty)
    probabilities = torch.tensor([detector.recording(track) for track in examples.validation])
    return replace(detector, threshold=probabilities.quantile(FALSE_ALARMS).item())


def log_loss(detector: MusicDetector, music: Tensor, not_music: Tensor) -> float:
    """Mean negative log-likelihood of two sets of windows that count the same, shape (windows, features) each."""
    right = detector.logits(music), -detector.logits(not_music)
    return -sum(torch.nn.functional.logsigmoid(logits).mean() for logits in right).item() / 2


def embed_training(member: Member, windows: Windows) -> Tensor:
    """Features of a few random windows of tracks of all genres and of one muffled window each (windows, features)."""
    generator = np.random.default_rng(0)
    tracks = np.linspace(0, len(windows) - 1, min(TRACKS, len(windows))).astype(int)
    drawn = torch.cat([windows.random(tracks, generator) for _ in range(WINDOWS_PER_TRACK)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        muffled = MUFFLED(windows.random(tracks, generator))
    return embed(member, torch.cat([drawn, muffled]))


def embed_validation(member: Member, windows: Windows) -> Tensor:
    """Features of every other window of all tracks, shape (tracks, windows, features)."""
    half = windows.all(np.arange(len(windows)))[:, ::2]
    return embed(member, half.flatten(0, 1)).unflatten(0, half.shape[:2])


def embed_file(member: Member, path: Path) -> Tensor:
    """Features of the windows of a recording's first 30 s, half a window apart, shape (windows, features)."""
    config = member.log_mel.config
    clip = decode(path, config.sample_rate, seconds=CLIP_SECONDS)
    starts = window_starts(len(clip) / config.sample_rate, config.window_seconds, config.window_seconds / 2)
    return embed(member, member.log_mel(clip, torch.tensor(starts, dtype=torch.float64)))


@torch.inference_mode()
def embed(member: Member, windows: Tensor) -> Tensor:
    """Features of windows in dB, shape (windows, bands, columns), to shape (windows, features)."""
    return torch.cat([member.embed(batch) for batch in windows.split(BATCH)]).float()


def save_music_detector(detector: MusicDetector, folder: Path) -> None:
    """Write a detector into a checkpoint's folder."""
    tensors = {"weight": detector.weight.contiguous(), "bias": torch.tensor(detector.bias)}
    metadata = {"member": detector.member, "threshold": repr(detector.threshold)}
    save_file(tensors, folder / MUSIC_FILE, metadata)


def load_music_detector(folder: Path) -> MusicDetector | None:
    """Read the detector of a checkpoint's folder; None where there is none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / MUSIC_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weight, bias = file.get_tensor("weight"), file.get_tensor("bias").item()
        return MusicDetector(metadata["member"], weight, bias, float(metadata["threshold"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{MUSIC_FILE} of checkpoint {folder.name!r} is damaged; fetch it again.") from error
