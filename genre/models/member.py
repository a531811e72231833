"""Ensemble members: a timm backbone with its front end, stored in timm's Hub layout.

A member's folder holds `model.safetensors` and `config.json`, which `timm.create_model("local-dir:FOLDER",
pretrained=True)` loads without this package; its keys `front_end` and `normalisation` define the input of the network.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import BatchNorm2d
from torch.nn.utils.fusion import fuse_conv_bn_eval

from genre.errors import CheckpointError
from genre.features.log_mel import LogMel, LogMelConfig
from genre.files import read_json
from genre.models import mobilenet

# A timm classifier: nn.Module, forward_features, forward_head and get_classifier, for which timm has no type.
Backbone: TypeAlias = Any
WEIGHTS_FILE = "model.safetensors"
MAX_INPUT_SIZE = 1024  # pixels of height or width
FUSION_TOLERANCE = 1e-3  # of logits, in the fusion of batch norms


class Member(nn.Module):
    """A backbone with the front end that it was trained on.

    Args:
        backbone: timm classifier with one input channel, or `MobileNetV2` for inference.
        front_end: settings that compute its windows from a waveform.
        mean, std: of the training windows in dB, for normalisation.
        input_size: height and width of the input image of the backbone, to which windows are resized.
    """

    def __init__(
        self, backbone: Backbone, front_end: LogMelConfig, mean: float, std: float, input_size: tuple[int, int]
    ):
        super().__init__()
        height, width = input_size
        if not 0 < min(input_size) <= max(input_size) <= MAX_INPUT_SIZE:
            raise ValueError(f"images of {height} x {width} are no input of a network")
        self.backbone = backbone
        self.log_mel = LogMel(front_end)
        self.mean, self.std, self.input_size = mean, std, (height, width)
        self.fused = False  # whether batch norms have been fused into convolutions

    def image(self, windows: Tensor) -> Tensor:
        """Windows in dB (batch, bands, columns) to normalised images (batch, 1, height, width)."""
        images = ((windows - self.mean) / self.std)[:, None]
        if images.shape[-2:] != self.input_size:
            images = nn.functional.interpolate(images, self.input_size, mode="bilinear", align_corners=False)
        return images.contiguous(memory_format=torch.channels_last)

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

    @torch.no_grad()
    def fuse_batch_norms(self) -> None:
        """Fuse batch norms into the convolutions before them, in place: equal outputs in a sixth less time.

        For inference: a fused member can neither be trained nor saved. Where fusion would change the outputs, as in a
        network that uses the output of a convolution also without the batch norm, the member stays as it is.
        """
        if self.fused:
            return
        device = next(self.backbone.parameters()).device
        image = torch.randn(1, 1, *self.input_size, generator=torch.Generator().manual_seed(0)).to(device)
        with full_precision():
            self._fuse(image)

    def _fuse(self, image: Tensor) -> None:
        expected, changes = self.backbone(image), []
        for name, norm, convolution in _norms_behind_convolutions(self.backbone, image):
            changes.append((name, norm, convolution, convolution.weight, convolution.bias))
            fused = fuse_conv_bn_eval(convolution, norm)
            convolution.weight, convolution.bias = fused.weight, fused.bias
            # timm's norms include dropout and activation.
            rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
            self.backbone.set_submodule(name, nn.Sequential(*rest))
        self.backbone.to(memory_format=torch.channels_last)
        self.fused = bool(changes)
        if not torch.allclose(self.backbone(image), expected, atol=FUSION_TOLERANCE):
            for name, norm, convolution, weight, bias in reversed(changes):
                self.backbone.set_submodule(name, norm)
                convolution.weight, convolution.bias = weight, bias
            self.fused = False


def full_precision() -> AbstractContextManager:
    """A context in which a GPU computes convolutions in float32, as a CPU does, and not with ten bits (TF32)."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _norms_behind_convolutions(network: nn.Module, image: Tensor) -> list[tuple[str, BatchNorm2d, nn.Conv2d]]:
    """Batch norms by name, with the convolution that each one takes its input from, recorded in one forward pass."""
    outputs, found, hooks = {}, [], []

    def record_output(module: nn.Conv2d, _: tuple, output: Tensor) -> None:
        outputs[id(output)] = module, output  # stored, since otherwise the next tensor could reuse its id

    def find_norm(name: str) -> Callable:
        def hook(module: BatchNorm2d, inputs: tuple, _: Tensor) -> None:
            if id(inputs[0]) in outputs:
                found.append((name, module, outputs[id(inputs[0])][0]))

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(record_output))
        elif isinstance(module, BatchNorm2d):
            hooks.append(module.register_forward_hook(find_norm(name)))
    network(image)
    for hook in hooks:
        hook.remove()
    return found


def load_member(folder: Path, for_inference: bool = False) -> Member:
    """Read a member's folder; the network is in evaluation mode.

    Args:
        for_inference: fuse its batch norms, see `Member.fuse_batch_norms`.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    try:
        config = read_json(folder / "config.json")
        fused = for_inference and mobilenet.is_one(config)
        if fused:
            backbone: Backbone = mobilenet.MobileNetV2(load_file(folder / WEIGHTS_FILE))
        else:
            from genre.models.backbones import read_backbone  # here, since importing timm takes a second and more

            backbone = read_backbone(folder)
        member = Member(
            backbone.to(memory_format=torch.channels_last),
            LogMelConfig(**config["front_end"]),
            **config["normalisation"],
            input_size=config["pretrained_cfg"]["input_size"][1:],
        ).eval()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"The model in {folder.name!r} is incomplete or damaged; fetch it again.") from error
    member.fused = fused
    if for_inference:
        member.fuse_batch_norms()
    return member
