"""Members: a timm backbone on one front end. Made from ImageNet weights, saved and loaded in timm's Hub layout.

A member's folder holds `model.safetensors` and `config.json`, which `timm.create_model("local-dir:FOLDER",
pretrained=True)` opens by itself; the keys `front_end` and `normalisation` at its root say what the network is fed.
"""

import copy
from contextlib import suppress
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from genre.errors import CheckpointError
from genre.features.log_mel import LogMel, LogMelConfig
from genre.json_files import read_json

WEIGHTS_FILE = "model.safetensors"
LFS_POINTER = b"version https://git-lfs"  # how a file begins that Git LFS leaves where the weights were not fetched
RANDOM = "random"  # for `weights`: start from random numbers, to measure what pre-training is worth


class Member(nn.Module):
    """One backbone with the front end it was trained on.

    Args:
        backbone: timm classifier with one input channel.
        front_end: what makes its windows from sound.
        mean, std: of training windows in dB, for normalisation.
        input_size: height and width of the picture the backbone gets; windows are resized to it.
    """

    def __init__(
        self, backbone: nn.Module, front_end: LogMelConfig, mean: float, std: float, input_size: tuple[int, int]
    ):
        super().__init__()
        self.backbone = backbone
        self.log_mel = LogMel(front_end)
        self.mean, self.std, self.input_size = mean, std, tuple(input_size)

    def image(self, windows: Tensor) -> Tensor:
        """Windows in dB (batch, bands, columns) to normalised pictures (batch, 1, height, width)."""
        pictures = ((windows - self.mean) / self.std)[:, None]
        if pictures.shape[-2:] != self.input_size:
            pictures = nn.functional.interpolate(pictures, self.input_size, mode="bilinear", align_corners=False)
        return pictures.contiguous(memory_format=torch.channels_last)

    def embed(self, windows: Tensor) -> Tensor:
        """Pooled features of windows, shape (batch, features)."""
        features = self.backbone.forward_features(self.image(windows))
        return self.backbone.forward_head(features, pre_logits=True)

    def head(self, features: Tensor) -> Tensor:
        """Pooled features (batch, features) to logits (batch, labels)."""
        return self.backbone.get_classifier()(features)

    def forward(self, windows: Tensor) -> Tensor:
        """Windows in dB, shape (batch, bands, columns), to logits, shape (batch, labels)."""
        return self.head(self.embed(windows))


def create_backbone(
    name: str, labels: int, weights: Path | str | None = None, input_size: tuple[int, int] | None = None
) -> nn.Module:
    """A timm backbone with one input channel and a fresh head.

    Args:
        name: a timm image model, e.g. "tf_efficientnet_lite0".
        labels: number of outputs.
        weights: None downloads timm's ImageNet weights from the Hub; a file is read instead (any layout of the same
            network, matched by order where names differ); `RANDOM` starts from nothing.
        input_size: height and width of the pictures it is for; the size of its ImageNet training unless told.

    Raises:
        CheckpointError: timm does not know the name, the network does not take pictures of this size or has no single
            linear head, or the weights cannot be had.
    """
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:8]) or "see timm.list_models()"
        raise CheckpointError(f"timm has no model {name!r}; there is {close}.")
    backbone = _checked_backbone(name, labels, input_size)
    if weights is None:
        try:
            backbone = _build(name, labels, input_size, pretrained=True)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"The ImageNet weights of {name} could not be had from the Hub; pass --weights FILE where there is no "
                "network, or --from-scratch where there are none."
            ) from error
    elif weights != RANDOM:
        state = _read_weights(name, Path(weights))
        backbone = _build(name, labels, input_size, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
        del backbone.pretrained_cfg["state_dict"]  # timm keeps it; every copy of the backbone would hold it again
    return _with_fresh_head(backbone, labels)


def _checked_backbone(name: str, labels: int, input_size: tuple[int, int] | None) -> nn.Module:
    """A backbone with random weights, after one picture went through it in the two steps of `Member`."""
    own_size = timm.get_pretrained_cfg(name).input_size[1:]
    height, width = input_size or own_size
    picture = torch.linspace(-1, 1, height * width).view(1, 1, height, width)
    try:
        backbone = _build(name, labels, input_size).eval()
        with torch.no_grad():
            features, logits = backbone.forward_features(picture), backbone(picture)
    except Exception as error:  # each architecture raises another error for a size that it does not take
        raise CheckpointError(
            f"{name} does not take pictures of {height} x {width}; it is made for {' x '.join(map(str, own_size))}."
        ) from error
    try:
        with torch.no_grad():
            same = torch.allclose(
                backbone.get_classifier()(backbone.forward_head(features, pre_logits=True)), logits, atol=1e-4
            )
    except (TypeError, RuntimeError, IndexError):
        same = False
    if not same or not isinstance(backbone.get_classifier(), nn.Linear):
        raise CheckpointError(f"{name} cannot be trained here: its head is not one linear layer on pooled features.")
    return backbone.train()


def _build(name: str, labels: int, input_size: tuple[int, int] | None, **options) -> nn.Module:
    options |= {"in_chans": 1, "num_classes": labels}
    if input_size is not None:
        with suppress(TypeError):  # of networks that take any size, and so no argument for it
            return timm.create_model(name, img_size=tuple(input_size), **options)
    return timm.create_model(name, **options)


def _read_weights(name: str, path: Path) -> dict[str, Tensor]:
    """What a file holds, under timm's names, for three channels and the labels of ImageNet."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError as error:
        raise CheckpointError(f"The weights {path.name!r} cannot be opened: {error.strerror}.") from error
    if pointer:
        raise CheckpointError(f"{path.name!r} is a Git LFS pointer in place of the weights; `git lfs pull` gets them.")
    try:
        state = timm.models.load_state_dict(str(path))
    except Exception as error:  # unpickling what is no pickle raises anything
        raise CheckpointError(f"{path.name!r} holds no weights that PyTorch or safetensors can read.") from error
    source = timm.create_model(name)
    try:
        named = path.suffix == ".safetensors"
        source.load_state_dict(state if named else timm.models.remap_state_dict(state, source))
    except (RuntimeError, AssertionError, AttributeError, TypeError) as error:
        raise CheckpointError(f"The weights in {path.name!r} are not those of {name}.") from error
    return source.state_dict()


def replace_head(member: Member, labels: int) -> Member:
    """A trained member for other labels: everything it learned but the head, which starts anew."""
    backbone = _with_fresh_head(copy.deepcopy(member.backbone), labels)
    return Member(backbone, member.log_mel.config, member.mean, member.std, member.input_size)


def average_weights(members: list[Member], shares: list[float] | None = None) -> Member:
    """The member whose weights are the mean of others', which were trained from one start or one from the other.

    The mean of several trainings errs like their ensemble at the price of one network (Wortsman et al., 2022, "Model
    soups"). Between a trained network and what it became by fine-tuning on other data lie some that are good at both
    (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models").

    Args:
        shares: of each member, in all 1; equal by default.
    """
    shares = shares or [1 / len(members)] * len(members)
    states = [member.state_dict() for member in members]
    mean = copy.deepcopy(members[-1])
    mean.load_state_dict(
        {
            name: sum(share * state[name] for share, state in zip(shares, states, strict=True))
            if value.is_floating_point()
            else value
            for name, value in states[-1].items()
        }
    )
    return mean


def _with_fresh_head(backbone: nn.Module, labels: int) -> nn.Module:
    backbone.reset_classifier(labels)
    head = backbone.get_classifier()
    nn.init.normal_(head.weight, std=0.01)  # timm's own start is wide: a first loss of 5 instead of ln(labels)
    nn.init.zeros_(head.bias)
    return backbone.to(memory_format=torch.channels_last)


def save_member(member: Member, folder: Path, labels: list[str]) -> None:
    """Write a member's folder, weights as float16: half the bytes, and every figure is measured on the stored ones."""
    timm.models.save_for_hf(
        copy.deepcopy(member.backbone).half().to(memory_format=torch.contiguous_format),
        folder,
        model_config={
            "label_names": labels,
            "front_end": member.log_mel.config.to_dict(),
            "normalisation": {"mean": member.mean, "std": member.std},
        },
        model_args={"in_chans": 1},
        data_config={"input_size": (1, *member.input_size), "mean": (member.mean,), "std": (member.std,)},
        safe_serialization=True,
    )


def load_member(folder: Path) -> Member:
    """Read a member's folder; the network is in evaluation mode.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    try:
        config = read_json(folder / "config.json")
        backbone = timm.create_model(f"local-dir:{folder}", pretrained=True)
        member = Member(
            backbone.to(memory_format=torch.channels_last),
            LogMelConfig(**config["front_end"]),
            **config["normalisation"],
            input_size=config["pretrained_cfg"]["input_size"][1:],
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"The model in {folder.name!r} is incomplete or damaged; fetch it again.") from error
    return member.eval()
