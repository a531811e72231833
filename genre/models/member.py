"""Members: a timm backbone with its front end, stored in timm's Hub layout.

A member's folder holds `model.safetensors` and `config.json`, which `timm.create_model("local-dir:FOLDER",
pretrained=True)` loads without this package; its keys `front_end` and `normalisation` define the input of the network.

The members that ship are timm's `mobilenetv2_100`. For inference their network is `MobileNetV2` here, which computes
the same: importing timm, and through it torchvision, takes 0.3 GB and longer than importing PyTorch. Training, and
other architectures, use timm (`genre.models.backbones`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from genre.errors import CheckpointError
from genre.features.log_mel import LogMel, LogMelConfig
from genre.files import read_json

# A timm classifier: nn.Module, forward_features, forward_head and get_classifier, for which timm has no type.
Backbone: TypeAlias = Any
WEIGHTS_FILE = "model.safetensors"
MAX_INPUT_SIZE = 1024  # pixels of height or width

# MobileNetV2
ARCHITECTURE = "mobilenetv2_100"  # timm's name
ARGUMENTS = {"in_chans", "num_classes", "global_pool"}  # of timm's `create_model` that leave the network as it is here
EPS = 1e-5  # of timm's batch norms
STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage; the others have 1 (Sandler et al., 2018, table 2)


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


def load_member(folder: Path, for_inference: bool = False) -> Member:
    """Read a member's folder; the network is in evaluation mode.

    Args:
        for_inference: the network is `MobileNetV2` where it can be, which can neither be trained nor saved.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    try:
        config = read_json(folder / "config.json")
        if for_inference and _is_mobilenet(config):
            backbone: Backbone = MobileNetV2(load_file(folder / WEIGHTS_FILE))
        else:
            from genre.models.backbones import read_backbone  # here, since importing timm takes a second and more

            backbone = read_backbone(folder)
        return Member(
            backbone.to(memory_format=torch.channels_last),
            LogMelConfig(**config["front_end"]),
            **config["normalisation"],
            input_size=config["pretrained_cfg"]["input_size"][1:],
        ).eval()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"The model in {folder.name!r} is incomplete or damaged; fetch it again.") from error


def _is_mobilenet(config: dict) -> bool:
    """Whether a member's config.json is that of `MobileNetV2`."""
    arguments = config.get("model_args", {})
    pooling = {config.get("global_pool", "avg"), arguments.get("global_pool", "avg")}
    return config["architecture"] == ARCHITECTURE and arguments.keys() <= ARGUMENTS and pooling == {"avg"}


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al., 2018), with batch norms fused into the convolutions before them.

    Args:
        state: `state_dict` of timm's `mobilenetv2_100`, whose number of input channels and of labels it may choose.

    Raises:
        KeyError, RuntimeError: the state is that of another network.
    """

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        state = dict(state)  # from which every tensor is taken once
        layers: list[nn.Module] = [_Convolution(state, "conv_stem", "bn1", stride=2)]
        for stage, stride in enumerate(STRIDES):
            number = 0
            while f"blocks.{stage}.{number}.conv_dw.weight" in state:
                layers.append(_Block(state, f"blocks.{stage}.{number}", stride if number == 0 else 1))
                number += 1
        layers.append(_Convolution(state, "conv_head", "bn2"))
        self.features = nn.Sequential(*layers)
        weight, bias = state.pop("classifier.weight"), state.pop("classifier.bias")
        self.num_classes = len(weight)
        self.classifier = nn.Linear(weight.shape[1], self.num_classes)
        self.classifier.load_state_dict({"weight": weight, "bias": bias})
        if state:
            raise KeyError(f"{next(iter(state))} belongs to another network")

    def forward_features(self, images: Tensor) -> Tensor:
        """Images (batch, channels, height, width) to feature maps (batch, 1280, height / 32, width / 32)."""
        return self.features(images)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Feature maps to logits (batch, labels), or with `pre_logits` to pooled features (batch, 1280)."""
        pooled = features.mean((2, 3))
        return pooled if pre_logits else self.classifier(pooled)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, height, width) to logits (batch, labels)."""
        return self.forward_head(self.forward_features(images))

    def get_classifier(self) -> nn.Linear:
        return self.classifier


class _Block(nn.Module):
    """An inverted residual: expansion, unless it is the first block, depthwise convolution, projection."""

    def __init__(self, state: dict[str, Tensor], name: str, stride: int):
        super().__init__()
        expands = f"{name}.conv_pwl.weight" in state
        order = (
            [("conv_pw", 1), ("conv_dw", stride), ("conv_pwl", 1)] if expands else [("conv_dw", stride), ("conv_pw", 1)]
        )
        layers = [
            _Convolution(state, f"{name}.{part}", f"{name}.bn{number}", its_stride, clips=number < len(order))
            for number, (part, its_stride) in enumerate(order, 1)
        ]
        self.layers = nn.Sequential(*layers)
        self.has_skip = stride == 1 and layers[0].in_channels == layers[-1].out_channels

    def forward(self, images: Tensor) -> Tensor:
        return images + self.layers(images) if self.has_skip else self.layers(images)


class _Convolution(nn.Conv2d):
    """A convolution with the batch norm after it fused into it; with ReLU6 unless `clips` is False.

    On a CPU, where no gradients are wanted, oneDNN computes both at once, from weights in its own layout, in three
    quarters of the time. PyTorch itself calls it in this way for networks that it compiles.
    """

    packed: Tensor | None = None  # the weights in that layout

    def __init__(self, state: dict[str, Tensor], name: str, norm: str, stride: int = 1, clips: bool = True):
        weight = state.pop(f"{name}.weight").float()
        mean, variance, scale, shift = (
            state.pop(f"{norm}.{part}").float() for part in ("running_mean", "running_var", "weight", "bias")
        )
        state.pop(f"{norm}.num_batches_tracked", None)
        outputs, inputs, size, _ = weight.shape
        groups = outputs if name.endswith("conv_dw") else 1
        with torch.device("meta"):  # no random numbers, which would take longer than all else here
            super().__init__(inputs * groups, outputs, size, stride, size // 2, groups=groups)
        self.weight, self.bias = fuse_conv_bn_weights(weight, None, mean, variance, EPS, scale, shift)
        self.clips = clips

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or torch.is_grad_enabled() or not torch.backends.mkldnn.is_available():
            outputs = super().forward(images)
            return nn.functional.relu6(outputs, inplace=True) if self.clips else outputs
        shape = self.padding, self.stride, self.dilation, self.groups
        if self.packed is None:
            reorder: Callable[..., Tensor] = torch._C._nn.mkldnn_reorder_conv2d_weight
            self.packed = reorder(self.weight.to_mkldnn(), *shape, images.shape)
        activation, limits = ("hardtanh", [0.0, 6.0]) if self.clips else ("none", [])
        return torch.ops.mkldnn._convolution_pointwise(
            images, self.packed, self.bias, *shape, activation, limits, algorithm=""
        )
