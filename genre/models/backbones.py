"""timm's networks: created from ImageNet weights, averaged, written to a member's folder and read from it.

Classification with the members that ship needs none of this, so that nobody waits for timm who only classifies a song.
"""

import copy
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from genre.errors import CheckpointError
from genre.files import replaced
from genre.models.downloads import HUB_ERRORS, OS_ERROR, hub_reason
from genre.models.member import WEIGHTS_FILE, Backbone, Member, MobileNetV2

LFS_POINTER = b"version https://git-lfs"  # first bytes of the file that Git LFS leaves in place of weights
RANDOM = "random"  # value of `weights` for random initialisation, to measure the effect of pre-training


def create_backbone(
    name: str, labels: int, weights: Path | str | None = None, input_size: tuple[int, int] | None = None
) -> Backbone:
    """A timm backbone with one input channel and a fresh head.

    Args:
        name: a timm image model, e.g. "tf_efficientnet_lite0".
        labels: number of outputs.
        weights: None downloads timm's ImageNet weights from the Hub; a path reads a file (of the same network, in any
            layout, matched by order where names differ); `RANDOM` initialises randomly.
        input_size: height and width of the input images; None for the size of its ImageNet training.

    Raises:
        CheckpointError: timm has no model of that name, the network does not take images of this size or has no single
            linear head, or the weights cannot be downloaded or read.
    """
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:8]) or "see timm.list_models()"
        raise CheckpointError(f"timm has no model {name!r}; there is {close}.")
    backbone = _checked_backbone(name, labels, input_size)
    if weights is None:
        if not _timm_config(name).has_weights:
            raise CheckpointError(f"timm has no ImageNet weights of {name}; pass --weights FILE, or --from-scratch.")
        try:
            backbone = _build(name, labels, input_size, pretrained=True)
        except (*HUB_ERRORS, SafetensorError) as error:
            raise CheckpointError(
                f"The ImageNet weights of {name} could not be downloaded: {hub_reason(error)} Or pass --weights FILE."
            ) from error
    elif weights != RANDOM:
        state = _read_weights(name, Path(weights))
        backbone = _build(name, labels, input_size, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
        del backbone.pretrained_cfg["state_dict"]  # otherwise every copy of the backbone would store it again
    return _with_fresh_head(backbone, labels)


def _timm_config(name: str) -> timm.models.PretrainedCfg:
    return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()


def _checked_backbone(name: str, labels: int, input_size: tuple[int, int] | None) -> Backbone:
    """A backbone with random weights that passed a test of both steps of `Member.forward` on one image."""
    own_size = _timm_config(name).input_size[1:]
    height, width = input_size or own_size
    image = torch.linspace(-1, 1, height * width).view(1, 1, height, width)
    try:
        backbone = _build(name, labels, input_size).eval()
        with torch.no_grad():
            features, logits = backbone.forward_features(image), backbone(image)
    except Exception as error:  # architectures raise different errors for a size that they do not take
        raise CheckpointError(
            f"{name} does not take images of {height} x {width}; it is made for {' x '.join(map(str, own_size))}."
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


def _build(name: str, labels: int, input_size: tuple[int, int] | None, **options: Any) -> Backbone:
    options |= {"in_chans": 1, "num_classes": labels}
    if input_size is not None:
        with suppress(TypeError):  # networks that take any size have no such argument
            return timm.create_model(name, img_size=tuple(input_size), **options)
    return timm.create_model(name, **options)


def _read_weights(name: str, path: Path) -> dict[str, Tensor]:
    """The state of a file by timm's names, for three input channels and the labels of ImageNet."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError as error:
        raise CheckpointError(f"The weights {path.name!r} cannot be opened: {error.strerror}.") from error
    if pointer:
        raise CheckpointError(f"{path.name!r} is a Git LFS pointer in place of the weights; `git lfs pull` gets them.")
    try:
        state = timm.models.load_state_dict(str(path))
    except Exception as error:  # unpickling other files raises any error
        raise CheckpointError(f"{path.name!r} holds no weights that PyTorch or safetensors can read.") from error
    source = timm.create_model(name)
    try:
        named = path.suffix == ".safetensors"
        source.load_state_dict(state if named else timm.models.remap_state_dict(state, source))
    except (RuntimeError, AssertionError, AttributeError, TypeError) as error:
        raise CheckpointError(f"The weights in {path.name!r} are not those of {name}.") from error
    return source.state_dict()


def replace_head(member: Member, labels: int) -> Member:
    """A copy of a trained member with a newly initialised head for other labels."""
    changed = copy.deepcopy(member)
    changed.backbone = _with_fresh_head(changed.backbone, labels)
    return changed


def average_weights(members: list[Member], shares: list[float] | None = None) -> Member:
    """Weight averaging and interpolation of members that were trained from one start, or one from the other.

    The average of runs approximates their ensemble at the cost of one network (Wortsman et al., 2022, "Model soups").
    Interpolation between a trained network and its fine-tuned version can be accurate on the data of both (Wortsman et
    al., 2022, "Robust fine-tuning of zero-shot models").

    Args:
        members: with equal architectures.
        shares: weight of each member, with a sum of 1; equal by default.

    Returns:
        a new member with the weighted mean of all floating-point tensors, and the last member's other ones.
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


def _with_fresh_head(backbone: Backbone, labels: int) -> Backbone:
    backbone.reset_classifier(labels)
    head = backbone.get_classifier()
    nn.init.normal_(head.weight, std=0.01)  # with timm's wider one the initial loss is 5, not ln(labels)
    nn.init.zeros_(head.bias)
    return backbone.to(memory_format=torch.channels_last)


def save_member(member: Member, folder: Path, labels: list[str]) -> None:
    """Write a member's folder, with weights as float16, on which all evaluations are made.

    Raises:
        CheckpointError: it was read for inference.
        OSError: there is no room or no permission.
    """
    if isinstance(member.backbone, MobileNetV2):
        raise CheckpointError("A model that was read for inference cannot be saved; read it again first.")
    try:
        timm.models.save_for_hf(
            copy.deepcopy(member.backbone).half().to(memory_format=torch.contiguous_format),
            str(folder),
            model_config={
                "label_names": labels,
                "front_end": member.log_mel.config.to_dict(),
                "normalisation": {"mean": member.mean, "std": member.std},
            },
            model_args={"in_chans": 1},
            data_config={"input_size": (1, *member.input_size), "mean": (member.mean,), "std": (member.std,)},
            safe_serialization=True,
        )
    except SafetensorError as error:  # it has no class for a full disk
        number = OS_ERROR.search(str(error))
        errno = int(number[1]) if number else 0
        raise OSError(errno, os.strerror(errno) if errno else str(error), str(folder)) from error
    weights = folder / WEIGHTS_FILE
    with replaced(weights) as new:
        shutil.copyfile(weights, new)  # with the usual permissions: timm's only its owner may read


def read_backbone(folder: Path) -> Backbone:
    """The backbone of a member's folder, in training mode.

    Raises:
        ValueError, OSError, RuntimeError and others, by the damage.
    """
    _check_size(folder)
    backbone: Backbone = timm.create_model(f"local-dir:{folder}", pretrained=True)
    return backbone.to(memory_format=torch.channels_last)


def _check_size(folder: Path) -> None:
    """Raise ValueError for an architecture that is larger than the file of weights, before memory is allocated."""
    with torch.device("meta"):
        backbone = timm.create_model(f"local-dir:{folder}")
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    if parameters * torch.half.itemsize > (folder / WEIGHTS_FILE).stat().st_size:
        raise ValueError("the architecture has more parameters than the file")
