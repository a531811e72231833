"""Music detector: a logistic regression on a member's pooled features of each window.

The members classify speech, noise and pure tones as one of their genres, but their features separate them from music. A
checkpoint's folder may have a detector as `music.safetensors`: the tensors `weight` and `bias`, and `member` and
`threshold` in the metadata. `genre.training.detector` fits it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genre.errors import CheckpointError
from genre.files import replaced

MUSIC_FILE = "music.safetensors"


@dataclass(frozen=True)
class MusicDetector:
    """Detects music by a member's pooled features (`Member.embed`).

    Attributes:
        member: name of the member that computes the features.
        weight: of the features, shape (features,).
        bias: added to the weighted sum.
        threshold: probability from which a recording counts as music.
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

        The mean is over the half of the windows with the highest logits, so that a song with a spoken introduction
        counts as music.
        """
        logits = self.logits(embeddings)
        return logits.topk((len(logits) + 1) // 2).values.mean().sigmoid().item()

    def is_music(self, embeddings: Tensor) -> bool:
        """Whether a recording is music, from the features of its windows, shape (windows, features)."""
        return self.recording(embeddings) >= self.threshold

    def logits(self, embeddings: Tensor) -> Tensor:
        """Features of windows, shape (..., features), to the logit that each is music, shape (...)."""
        return embeddings.float() @ self.weight + self.bias


def save_music_detector(detector: MusicDetector, folder: Path) -> None:
    """Write a detector to a checkpoint's folder."""
    tensors = {"weight": detector.weight.contiguous(), "bias": torch.tensor(detector.bias)}
    metadata = {"member": detector.member, "threshold": repr(detector.threshold)}
    with replaced(folder / MUSIC_FILE) as new:
        new.write_bytes(save(tensors, metadata))  # `save_file` lets only its owner read the file


def load_music_detector(folder: Path) -> MusicDetector | None:
    """Load the detector of a checkpoint's folder; None where there is none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / MUSIC_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weight, bias = file.get_tensor("weight").clone(), file.get_tensor("bias").item()  # not a mapped file
        return MusicDetector(metadata["member"], weight, bias, float(metadata["threshold"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{MUSIC_FILE} of checkpoint {folder.name!r} is damaged; fetch it again.") from error
