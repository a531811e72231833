"""The model of genres: members, the fusion of their predictions, thresholds, and the music detector; and its folder.

    config.json     name, labels, window_seconds, members [{folder, weight {window, track}, sha256}], temperature
                    {window, track}, bias {window, track}, limits {confident_from, prediction_set_from} (the
                    thresholds), music (SHA-256 of the next one)
    music.safetensors  optional: the music detector; tensors `weight` and `bias`, metadata `member` and `threshold`
    README.md       model card
    metrics.json    training settings and evaluation, see below
    <member>/       one folder a member in timm's Hub layout, see `genre.models.member`

Weights whose hash differs from the one in config.json are not loaded.

metrics.json has these keys:

    training    command, start, genres, sources {name: {share, training, validation, test}}, shared_artists (number of
                those in two splits), members {name: recipe}, batch_shares {name of a member: share of each source};
                of a linear probe also probe {folds, songs {genre: number}, caveats}
    validation  figures of `genre.training.evaluate` by source, among them `limits`: how often one genre is named
                alone, and how often the prediction set holds the true one; of a linear probe by cross-validation
    test        the same, where the test splits were read
    notes       sentences with figures of benchmarks, by their command

A model may have one member. The log-probabilities of several are added with weights, for a window and for a track
alike. A member whose input is a whole clip has no weight for a window.
"""

import ctypes
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Barrier, Lock

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from genre.audio.levels import audible_span
from genre.errors import CheckpointError
from genre.features.log_mel import raise_level
from genre.files import read_json, replaced, write_json
from genre.models.member import WEIGHTS_FILE, Member, load_member

PACKAGE = Path(__file__).resolve().parents[1]
# Within the package where it is installed, beside it in the repository.
SHIPPED = (PACKAGE if (PACKAGE / "checkpoints").is_dir() else PACKAGE.parent) / "checkpoints"
DEFAULT = "fma-small"
HUB_PREFIX = "hf-hub:"
CARD_FILE, METRICS_FILE, MUSIC_FILE = "README.md", "metrics.json", "music.safetensors"
SPLITS = ("validation", "test")  # of metrics.json
MEMBER_NAME = re.compile(r"\w[\w-]*")  # a config.json from the Hub must not name paths outside of its folder
PROCESS = os.getpid()  # that imported PyTorch
POOLS = Lock()  # held while a pool of threads is made
MIN_PROBABILITY = 1e-12  # lower limit, so that the logarithm is finite
# Of mallopt, in malloc.h: its options, bytes that are kept in total, and of one block, for which it allows no more.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
KEPT_BYTES, LARGEST_KEPT_BYTES = 2**28, 2**25
ARENAS = 2  # that threads share, since each keeps what was freed in it


def available() -> list[str]:
    """Names of the checkpoints in `checkpoints/`, sorted."""
    return sorted(config.parent.name for config in SHIPPED.glob("*/config.json"))


@contextmanager
def checkpoint_folder(name: str, visitor_bytes: int | None = None) -> Iterator[Path]:
    """The folder of a checkpoint, which is downloaded if it is on the Hub.

    Args:
        name: of a folder in `checkpoints/`, a path, or "hf-hub:user/repo@revision".
        visitor_bytes: maximum size of a model from the Hub that a visitor names. It is fetched without the token of
            this machine, which may read private models, to a temporary folder, so that visitors cannot fill the disk.

    Raises:
        CheckpointError: there is none of that name, it is too large, or it cannot be downloaded.
    """
    if not name.startswith(HUB_PREFIX):
        yield _local_folder(name)
        return
    from genre.models.downloads import downloaded  # here, since importing the Hub's library takes half a second

    with downloaded(name, visitor_bytes) as folder:
        yield folder


def _local_folder(name: str) -> Path:
    for folder in (SHIPPED / name, Path(name)):
        if (folder / "config.json").is_file():
            return folder
    raise CheckpointError(
        f"There is no checkpoint {name!r}; there is {', '.join(available()) or 'none here'}, or give a folder or "
        f"{HUB_PREFIX}user/repo."
    )


class Fusion(nn.Module):
    """Weighted sum of the members' log-probabilities and its calibration, all fitted on validation.

    Args:
        weights: of the members, shape (members,), with a sum of 1.
        temperature: divides the weighted sum.
        bias: added to the result, shape (labels,), in nats; None for none.
    """

    weights: Tensor
    temperature: Tensor
    bias: Tensor

    def __init__(self, weights: Tensor, temperature: float = 1.0, bias: Tensor | None = None):
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("temperature", torch.tensor(temperature, device=weights.device))
        self.register_buffer("bias", torch.zeros(1, device=weights.device) if bias is None else bias)

    def forward(self, log_probabilities: Tensor) -> Tensor:
        """Members' log-probabilities (members, ..., labels) to calibrated probabilities (..., labels)."""
        return (torch.tensordot(self.weights, log_probabilities, dims=1) / self.temperature + self.bias).softmax(-1)


@dataclass(frozen=True)
class Thresholds:
    """Thresholds for the probabilities of a recording; both are chosen on validation.

    Attributes:
        named_alone: confidence from which the most probable genre is named alone.
        prediction_set: probability from which a genre is in the conformal prediction set.
    """

    named_alone: float
    prediction_set: float


class MusicDetector(nn.Module):
    """Detects music by a logistic regression on a member's pooled features (`Member.embed`) of each window.

    The members classify speech, noise and pure tones as one of their genres, but their features separate them from
    music. `genre.training.detector` fits it.

    Args:
        member: name of the member that computes the features.
        weight: of the features, shape (features,).
        bias: added to the weighted sum.
        threshold: probability from which a recording counts as music.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, member: str, weight: Tensor, bias: float, threshold: float = 0.5):
        super().__init__()
        self.member, self.threshold = member, threshold
        self.register_buffer("weight", weight)
        self.register_buffer("bias", torch.tensor(bias, device=weight.device))

    def forward(self, features: Tensor) -> Tensor:
        """Features of windows, shape (..., features), to the logit that each is music, shape (...)."""
        return features.float() @ self.weight + self.bias

    def recording(self, logits: Tensor) -> float:
        """Probability that a recording is music, from the logits of its windows, shape (windows,).

        The mean is over the half of the windows with the highest logits, so that a song with a spoken introduction
        counts as music.
        """
        return logits.topk((len(logits) + 1) // 2).values.mean().sigmoid().item()

    def is_music(self, logits: Tensor) -> bool:
        """Whether a recording is music, from the logits of its windows, shape (windows,)."""
        return self.recording(logits) >= self.threshold


class GenreModel(nn.Module):
    """Trained members, how they are fused, and what is known of them.

    Args:
        labels: names of the genres.
        members: by name.
        window_fusion: of the members whose windows have 3 seconds, for the prediction of a window; by default their
            mean.
        track_fusion: of all members, for the prediction of a recording; by default their mean.
        thresholds: by default no genre is named alone, and all of them are in the prediction set.
        detector: detects music; None for a model that takes everything for music.
        name: of its folder.
        digest: SHA-256 of config.json, which holds those of the weights: it tells models of one name apart.
        metrics: content of metrics.json, empty where there is none.
        card: the model card in Markdown, empty where there is none.
    """

    members: Mapping[str, Member]  # as `nn.ModuleDict`, which has no type for its modules

    def __init__(
        self,
        labels: list[str],
        members: Mapping[str, Member],
        window_fusion: Fusion | None = None,
        track_fusion: Fusion | None = None,
        thresholds: Thresholds = Thresholds(named_alone=1.0, prediction_set=0.0),
        detector: MusicDetector | None = None,
        *,
        name: str = "",
        digest: str = "",
        metrics: dict | None = None,
        card: str = "",
    ):
        super().__init__()
        self.labels, self.thresholds = labels, thresholds
        self.name, self.digest, self.metrics, self.card = name, digest, metrics or {}, card
        self.members = nn.ModuleDict(members)  # type: ignore[assignment]
        self.window_fusion = window_fusion or _mean(len(self.window_members), len(labels))
        self.track_fusion = track_fusion or _mean(len(members), len(labels))
        self.detector = detector

    @property
    def device(self) -> torch.device:
        return self.track_fusion.weights.device

    @property
    def sample_rate(self) -> int:
        """Of the input of all members, in Hz."""
        return next(iter(self.members.values())).log_mel.config.sample_rate

    @property
    def window_seconds(self) -> float:
        """Length of the windows that are classified one by one, in seconds."""
        return min(member.log_mel.config.window_seconds for member in self.members.values())

    @property
    def window_members(self) -> list[str]:
        """Names of the members that classify windows of that length; the others have longer ones."""
        seconds = self.window_seconds
        return [name for name, member in self.members.items() if member.log_mel.config.window_seconds == seconds]

    def forward(self, waveform: Tensor, starts: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Run every member on the windows of a clip, on the device of the model.

        Args:
            waveform: of a clip, mono at `sample_rate`, shape (samples,), on any device.
            starts: of its windows, in seconds from its start, shape (windows,), on the CPU.

        Returns:
            by member, log-probabilities (windows, labels) and pooled features (windows, features); of a member whose
            input is the whole clip both have one row.
        """
        adapt_to_fork()
        raised = raise_level(waveform.to(self.device))
        # Without silence at the ends of the clip: silent windows do not count either.
        audible = audible_span(waveform.cpu().numpy(), self.sample_rate)
        groups: dict[tuple, list[str]] = {}  # members with the same settings share a spectrum
        for name, member in self.members.items():
            groups.setdefault(member.log_mel.config.spectrum_settings, []).append(name)
        inference = torch.is_inference_mode_enabled()  # which a thread does not take over

        def run(names: list[str]) -> dict[str, tuple[Tensor, Tensor]]:
            with torch.inference_mode(inference):
                return self._run_members(names, raised, starts, audible)

        threads = torch.get_num_threads() if inference and self.device.type == "cpu" else 1
        at_once = min(len(groups), threads)
        # A GPU computes convolutions in float32, as a CPU does, and not with ten bits (TF32).
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            # Cores that share a network wait for each other, so each group has its own ones.
            in_turn = thread_pool(at_once, threads // at_once).map if at_once > 1 else map
            outputs = {name: output for group in in_turn(run, groups.values()) for name, output in group.items()}
        log_probabilities = {name: outputs[name][0] for name in self.members}
        return log_probabilities, {name: outputs[name][1] for name in self.members}

    def _run_members(
        self, names: list[str], raised: Tensor, starts: Tensor, audible: tuple[float, float]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Log-probabilities and features of members that share a spectrum, by name.

        Args:
            raised: the clip, see `raise_level`, shape (samples,).
            starts: see `forward`.
            audible: start and end of the clip without silence, in seconds.
        """
        outputs = {}
        spectrum = self.members[names[0]].log_mel.spectrum(raised)
        for name in names:
            member = self.members[name]
            config = member.log_mel.config
            if config.window_seconds > self.window_seconds:
                first, last = (round(seconds * config.frames_per_second) for seconds in audible)
                part = range(first, min(last + 1, len(spectrum)))
                windows = member.log_mel.windows(spectrum, torch.zeros(1), part)
            else:
                windows = member.log_mel.windows(spectrum, starts)
            features = member.embed(windows)
            outputs[name] = member.head(features).float().log_softmax(-1), features
        return outputs

    def window_probabilities(self, log_probabilities: dict[str, Tensor]) -> Tensor:
        """Members' (windows, labels) log-probabilities of the same windows to probabilities (windows, labels)."""
        return self.window_fusion(torch.stack([log_probabilities[name] for name in self.window_members]))

    def track_probabilities(self, log_probabilities: dict[str, Tensor]) -> Tensor:
        """Members' (..., windows, labels) log-probabilities to the recording's probabilities (..., labels).

        Each member's probabilities are averaged over its windows; then the members are fused. Their numbers of windows
        may differ.
        """
        return self.track_fusion(torch.stack([average_windows(log_probabilities[name]) for name in self.members]))

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, for_inference: bool = False, visitor_bytes: int | None = None
    ) -> "GenreModel":
        """Read a model, on the CPU.

        Args:
            name: None for the default one, the name of a folder in `checkpoints/`, a path, or
                "hf-hub:user/repo@revision".
            for_inference: read a model that can neither be trained nor saved, and is there sooner, since timm is not
                needed for the members that ship.
            visitor_bytes: maximum size of a model from the Hub that a visitor names, see `checkpoint_folder`.

        Raises:
            CheckpointError: there is no checkpoint of that name, it is too large, or it is incomplete or damaged.
        """
        adapt_to_fork()
        name = str(name or DEFAULT)
        with checkpoint_folder(name, visitor_bytes) as folder:
            try:
                return _read(folder, name, for_inference)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
                raise CheckpointError(f"Checkpoint {name} is incomplete or damaged; fetch it again.") from error

    def save_pretrained(self, folder: Path) -> None:
        """Write the folder of the model, whose name becomes the model's; metrics and card where there are any.

        Raises:
            CheckpointError: the model was read for inference.
        """
        from genre.models.backbones import save_member  # here, since classification does without timm

        weights = {
            name: {"track": weight}
            for name, weight in zip(self.members, self.track_fusion.weights.tolist(), strict=True)
        }
        for name, weight in zip(self.window_members, self.window_fusion.weights.tolist(), strict=True):
            weights[name]["window"] = weight
        for name, member in self.members.items():
            save_member(member, folder / name, self.labels)
        fusions = {"window": self.window_fusion, "track": self.track_fusion}
        config = {
            "name": folder.name,
            "labels": self.labels,
            "window_seconds": self.window_seconds,
            "members": [
                {"folder": name, "weight": weights[name], "sha256": _digest(folder / name / WEIGHTS_FILE)}
                for name in self.members
            ],
            "temperature": {of: fusion.temperature.item() for of, fusion in fusions.items()},
            "bias": {of: fusion.bias.expand(len(self.labels)).tolist() for of, fusion in fusions.items()},
            "limits": {
                "confident_from": self.thresholds.named_alone,
                "prediction_set_from": self.thresholds.prediction_set,
            },
        }
        if self.detector:
            _save_detector(self.detector, folder)
            config["music"] = _digest(folder / MUSIC_FILE)
        if self.metrics:
            write_json(folder / METRICS_FILE, self.metrics)
        if self.card:
            with replaced(folder / CARD_FILE) as new:
                new.write_text(self.card, encoding="utf-8")
        write_json(folder / "config.json", config)  # at the end: with it the checkpoint is complete


def thread_pool(count: int, threads: int) -> ThreadPoolExecutor:
    """The pool of threads in which PyTorch computes, each with its own cores; the same for the same arguments.

    Args:
        count: number of threads of the pool.
        threads: of PyTorch for each of them.
    """
    with POOLS:  # which a cache alone does not lock
        return _new_pool(count, threads)


@cache
def _new_pool(count: int, threads: int) -> ThreadPoolExecutor:
    before, started = torch.get_num_threads(), Barrier(count + 1)

    def start() -> None:
        torch.get_num_threads()  # sets this thread's number to the default; later it would undo the next line
        torch.set_num_threads(threads)  # of this thread, and the default of those that ask for theirs from now on
        started.wait()

    pool = ThreadPoolExecutor(count, "classify", initializer=start)
    for _ in range(count):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(before)
    return pool


def adapt_to_fork() -> None:
    """Let PyTorch use one thread in a forked process, which lacks its others and would wait for them for ever."""
    if os.getpid() != PROCESS:
        torch.set_num_threads(1)


def keep_freed_memory(everything: bool = False) -> None:
    """Let glibc's malloc keep freed memory for the next tensors.

    By default it returns freed blocks of megabytes to the system, which then zeroes every page again for the next ones:
    a fifth of the time of classifying a clip, a third in Dask's workers, which start with a malloc that returns more.
    It holds for the whole process, so programs call this function, not the library when it is imported.

    Args:
        everything: for training, where every step needs as much, in larger blocks; `KEPT_BYTES` otherwise.
    """
    options = {M_TRIM_THRESHOLD: KEPT_BYTES, M_MMAP_THRESHOLD: LARGEST_KEPT_BYTES, M_ARENA_MAX: ARENAS}
    if everything:
        options = {M_TRIM_THRESHOLD: -1, M_MMAP_MAX: 0}  # -1 is never
    with suppress(AttributeError, TypeError):  # macOS has no mallopt, and Windows cannot load a library without a name
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options.items():
            mallopt(option, value)


def average_windows(log_probabilities: Tensor) -> Tensor:
    """A member's log-probabilities of a recording: the logarithm of the mean of its windows' probabilities.

    Args:
        log_probabilities: shape (..., windows, labels).

    Returns:
        shape (..., labels).
    """
    return log_probabilities.exp().mean(-2).clamp(min=MIN_PROBABILITY).log()


def _mean(members: int, labels: int) -> Fusion:
    return Fusion(torch.full((members,), 1 / members), bias=torch.zeros(labels))


def _read(folder: Path, name: str, for_inference: bool) -> GenreModel:
    """Read the folder of a model; errors that have no sentence of their own mean that it is damaged."""
    config = read_json(folder / "config.json")
    if any(_digest(path) != digest for path, digest in _digests(folder, config).items()):
        raise CheckpointError(f"The weights of checkpoint {name} are damaged; fetch them again.")
    members = {entry["folder"]: load_member(folder / entry["folder"], for_inference) for entry in config["members"]}
    labels = _read_labels(config)
    if not members or any(member.backbone.num_classes != len(labels) for member in members.values()):
        raise CheckpointError(f"The labels of checkpoint {name} do not fit its members.")
    if len({member.log_mel.config.sample_rate for member in members.values()}) != 1:
        raise CheckpointError(f"The members of checkpoint {name} take audio at different sample rates.")
    limits = config["limits"]
    model = GenreModel(
        labels,
        members,
        _read_fusion(config, "window"),
        _read_fusion(config, "track"),
        Thresholds(named_alone=limits["confident_from"], prediction_set=limits["prediction_set_from"]),
        _read_detector(folder),
        name=config["name"],
        digest=_digest(folder / "config.json"),
        metrics=read_metrics(folder),
        card=_read_card(folder),
    )
    if len(model.window_fusion.weights) != len(model.window_members) or len(model.track_fusion.weights) != len(members):
        raise CheckpointError(f"The fusion weights of checkpoint {name} do not fit its members.")
    detector = model.detector
    if detector and len(detector.weight) != members[detector.member].backbone.get_classifier().in_features:
        raise CheckpointError(f"The music detector of checkpoint {name} does not fit its members.")
    return model.eval()


def _read_labels(config: dict) -> list[str]:
    labels = config["labels"]
    if not all(isinstance(label, str) and label for label in labels) or len(set(labels)) < len(labels):
        raise ValueError("labels are not distinct names")
    return labels


def _read_fusion(config: dict, of: str) -> Fusion:
    """The fusion of a config.json for "window" or "track"."""
    weights = [member["weight"][of] for member in config["members"] if of in member["weight"]]
    bias = torch.tensor(config["bias"][of])
    if bias.shape != (len(config["labels"]),):
        raise ValueError("the bias does not fit the labels")
    return Fusion(torch.tensor(weights), float(config["temperature"][of]), bias)


def _save_detector(detector: MusicDetector, folder: Path) -> None:
    tensors = {"weight": detector.weight.contiguous(), "bias": detector.bias}
    metadata = {"member": detector.member, "threshold": repr(detector.threshold)}
    with replaced(folder / MUSIC_FILE) as new:
        new.write_bytes(save(tensors, metadata))  # `save_file` lets only its owner read the file


def _read_detector(folder: Path) -> MusicDetector | None:
    """The music detector of a folder; None where there is none."""
    path = folder / MUSIC_FILE
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        weight, bias = file.get_tensor("weight").clone(), file.get_tensor("bias").item()  # not a mapped file
    return MusicDetector(metadata["member"], weight, bias, float(metadata["threshold"]))


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
    path = folder / CARD_FILE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_metrics(folder: Path) -> dict:
    """Content of a checkpoint's metrics.json; empty where there is none.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the file has another layout.
    """
    path = folder / METRICS_FILE
    metrics = read_json(path) if path.is_file() else {}
    for split in SPLITS:
        if split in metrics:
            main_source(metrics, split)
    return metrics


def best_split(metrics: dict) -> str:
    """The split whose figures count: test, where there are figures of it."""
    return "test" if "test" in metrics else "validation"


def named_split(metrics: dict, split: str, source: str) -> str:
    """What the figures of a split are about, in words."""
    if "probe" in metrics["training"]:
        return f"{source}, by cross-validation"
    return f"the {split} split of {source}"


def main_source(metrics: dict, split: str) -> str:
    """Of the sources with figures of a split, the one with the largest share of a training batch."""
    sources = metrics["training"]["sources"]
    return max(metrics[split], key=lambda name: sources[name]["share"])
