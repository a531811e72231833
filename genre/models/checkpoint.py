"""Checkpoints: folders with everything that a prediction depends on.

    config.json     name, labels, window_seconds, members [{folder, weight {window, track}, sha256}], temperature
                    {window, track}, bias {window, track}, limits {confident_from, prediction_set_from}, music (SHA-256
                    of the next one)
    music.safetensors  optional: detects music, see `genre.models.music`
    README.md       model card
    metrics.json    training settings and evaluation, see `genre.models.metrics`
    <member>/       one folder a member in timm's Hub layout, see `genre.models.member`

Weights whose hash differs from the one in config.json are not loaded.

One member is the ordinary case. The log-probabilities of multiple members are added with weights, for a window and
for a track alike. A member whose input is a whole clip has no weight for a window.
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from genre.errors import CheckpointError
from genre.files import read_json, write_json
from genre.models.locations import DEFAULT, checkpoint_folder
from genre.models.member import WEIGHTS_FILE, Member, load_member, save_member
from genre.models.metrics import read_metrics
from genre.models.music import MUSIC_FILE, MusicDetector, load_music_detector, save_music_detector

MEMBER_NAME = re.compile(r"\w[\w.-]*")  # a config.json from the Hub must not name paths outside of its folder
LEVELS = ("window", "track")
MIN_PROBABILITY = 1e-12  # lower limit, so that the logarithm is finite


@dataclass(frozen=True)
class Fusion:
    """Weighted sum of the members' log-probabilities and its calibration, all fitted on validation.

    Attributes:
        weights: of the members, shape (members,), with a sum of 1.
        temperature: divides the weighted sum.
        bias: added to the result, shape (labels,), in nats; 0 for none.
    """

    weights: Tensor
    temperature: float
    bias: Tensor | float = 0.0

    def __call__(self, log_probabilities: Tensor) -> Tensor:
        """Members' log-probabilities (members, ..., labels) to calibrated probabilities (..., labels)."""
        return (torch.tensordot(self.weights, log_probabilities, dims=1) / self.temperature + self.bias).softmax(-1)


@dataclass(frozen=True)
class ConfidenceLimits:
    """Limits for the probabilities of a recording; both are chosen on validation.

    Attributes:
        confident_from: confidence from which the most probable genre is shown alone.
        prediction_set_from: probability from which a genre is in the conformal prediction set.
    """

    confident_from: float
    prediction_set_from: float


@dataclass(frozen=True)
class Checkpoint:
    """Trained members and how they are fused.

    `window` fuses the members whose windows have 3 seconds, for the prediction of a window; `track` fuses all members,
    for the prediction of a recording. `card` is the model card in Markdown and `metrics` the content of metrics.json;
    both are empty where there is none. `digest` is the SHA-256 of config.json, which holds
    those of the weights: it tells checkpoints of one name apart.
    """

    name: str
    labels: list[str]
    members: dict[str, Member]
    window: Fusion
    track: Fusion
    limits: ConfidenceLimits
    music: MusicDetector | None
    metrics: dict
    card: str
    digest: str

    @property
    def sample_rate(self) -> int:
        """Of the input of all members, in Hz."""
        return next(iter(self.members.values())).log_mel.config.sample_rate

    @property
    def window_seconds(self) -> float:
        return shortest_window(self.members)

    def window_probabilities(self, log_probabilities: dict[str, Tensor]) -> Tensor:
        """Members' (windows, labels) log-probabilities of the same windows to probabilities (windows, labels)."""
        return self.window(torch.stack([log_probabilities[name] for name in window_members(self.members)]))

    def track_probabilities(self, log_probabilities: dict[str, Tensor]) -> Tensor:
        """Members' (..., windows, labels) log-probabilities to the recording's probabilities (..., labels).

        Each member's probabilities are averaged over its windows; then the members are fused. Their numbers of windows
        may differ.
        """
        return self.track(torch.stack([average_windows(log_probabilities[name]) for name in self.members]))


def shortest_window(members: dict[str, Member]) -> float:
    """Length of the windows that are classified one by one, in seconds."""
    return min(member.log_mel.config.window_seconds for member in members.values())


def window_members(members: dict[str, Member]) -> list[str]:
    """Names of the members that classify windows of that length; the others have longer ones."""
    seconds = shortest_window(members)
    return [name for name, member in members.items() if member.log_mel.config.window_seconds == seconds]


def average_windows(log_probabilities: Tensor) -> Tensor:
    """A member's log-probabilities of a recording: the logarithm of the mean of its windows' probabilities.

    Args:
        log_probabilities: shape (..., windows, labels).

    Returns:
        shape (..., labels).
    """
    return log_probabilities.exp().mean(-2).clamp(min=MIN_PROBABILITY).log()


def save_checkpoint(
    folder: Path,
    labels: list[str],
    members: dict[str, Member],
    window: Fusion,
    track: Fusion,
    limits: ConfidenceLimits,
) -> None:
    """Write a checkpoint's folder, without its metrics and card."""
    weights = {name: {"track": weight} for name, weight in zip(members, track.weights.tolist(), strict=True)}
    for name, weight in zip(window_members(members), window.weights.tolist(), strict=True):
        weights[name]["window"] = weight
    for name, member in members.items():
        save_member(member, folder / name, labels)
    config = {
        "name": folder.name,
        "labels": labels,
        "window_seconds": shortest_window(members),
        "members": [
            {"folder": name, "weight": weights[name], "sha256": _digest(folder / name / WEIGHTS_FILE)}
            for name in members
        ],
        "temperature": {"window": window.temperature, "track": track.temperature},
        "bias": {
            level: torch.as_tensor(one.bias).expand(len(labels)).tolist()
            for level, one in zip(LEVELS, (window, track), strict=True)
        },
        "limits": asdict(limits),
    }
    write_json(folder / "config.json", config)


def add_music_detector(folder: Path, detector: MusicDetector) -> None:
    """Add a music detector to a saved checkpoint."""
    save_music_detector(detector, folder)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"music": _digest(folder / MUSIC_FILE)})


def load_checkpoint(name: str | Path | None = None, visitor_bytes: int | None = None) -> Checkpoint:
    """Load a checkpoint.

    Args:
        name: None for the default one, the name of a folder in `checkpoints/`, a path, or
            "hf-hub:user/repo@revision".
        visitor_bytes: maximum size of a model from the Hub that a visitor names, see `checkpoint_folder`.

    Raises:
        CheckpointError: there is no checkpoint of that name, it is too large, or it is incomplete or damaged.
    """
    name = str(name or DEFAULT)
    with checkpoint_folder(name, visitor_bytes) as folder:
        try:
            return _read(folder, name)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"Checkpoint {name} is incomplete or damaged; fetch it again.") from error


def _read(folder: Path, name: str) -> Checkpoint:
    """Read the folder of a checkpoint; errors that have no sentence of their own mean that it is damaged."""
    config = read_json(folder / "config.json")
    if any(_digest(path) != digest for path, digest in _digests(folder, config).items()):
        raise CheckpointError(f"The weights of checkpoint {name} are damaged; fetch them again.")
    members = {entry["folder"]: load_member(folder / entry["folder"]) for entry in config["members"]}
    labels = _read_labels(config)
    window, track = (_read_fusion(config, level) for level in LEVELS)
    if len(window.weights) != len(window_members(members)) or len(track.weights) != len(members):
        raise CheckpointError(f"The fusion weights of checkpoint {name} do not fit its members.")
    if len({member.log_mel.config.sample_rate for member in members.values()}) != 1:
        raise CheckpointError(f"The members of checkpoint {name} take audio at different sample rates.")
    if not members or any(member.backbone.num_classes != len(labels) for member in members.values()):
        raise CheckpointError(f"The labels of checkpoint {name} do not fit its members.")
    limits = _read_limits(config)
    music, metrics, card = load_music_detector(folder), read_metrics(folder), _read_card(folder)
    if music and len(music.weight) != members[music.member].backbone.get_classifier().in_features:
        raise CheckpointError(f"The music detector of checkpoint {name} does not fit its members.")
    digest = _digest(folder / "config.json")
    return Checkpoint(config["name"], labels, members, window, track, limits, music, metrics, card, digest)


def _read_labels(config: dict) -> list[str]:
    labels = config["labels"]
    if not all(isinstance(label, str) and label for label in labels) or len(set(labels)) < len(labels):
        raise ValueError("labels are not distinct names")
    return labels


def _read_fusion(config: dict, level: str) -> Fusion:
    """The fusion of a config.json for "window" or "track"; those of earlier versions have no bias."""
    weights = [member["weight"][level] for member in config["members"] if level in member["weight"]]
    bias = torch.tensor(config["bias"][level]) if "bias" in config else torch.zeros(len(config["labels"]))
    if bias.shape != (len(config["labels"]),):
        raise ValueError("the bias does not fit the labels")
    return Fusion(torch.tensor(weights), float(config["temperature"][level]), bias)


def _read_limits(config: dict) -> ConfidenceLimits:
    """The limits of a config.json, also by the keys of earlier versions."""
    if "limits" in config:
        return ConfidenceLimits(**config["limits"])
    earlier = config["certainty"]
    return ConfidenceLimits(earlier["sure_from"], earlier["plausible_from"])


def _digests(folder: Path, config: dict) -> dict[Path, str | None]:
    """Files of weights and their hashes in config.json; None where it has none of a file."""
    if not all(MEMBER_NAME.fullmatch(entry["folder"]) for entry in config["members"]):
        raise ValueError("a member lies outside of the checkpoint")
    digests = {folder / entry["folder"] / WEIGHTS_FILE: entry["sha256"] for entry in config["members"]}
    if "music" in config or (folder / MUSIC_FILE).is_file():
        digests[folder / MUSIC_FILE] = config.get("music")
    return digests


def _read_card(folder: Path) -> str:
    """The model card without the front matter for the Hub."""
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
