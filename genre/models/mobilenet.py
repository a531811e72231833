"""MobileNetV2 for inference, from timm's weights: the network of the members that ship.

timm's own class computes the same; importing timm, and through it torchvision, takes longer than importing PyTorch and
0.3 GB, which everybody who classifies a song would wait for. Training, and other architectures, use timm.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

ARCHITECTURE = "mobilenetv2_100"  # timm's name
# Arguments of timm's `create_model` that leave the network as it is here.
ARGUMENTS = {"in_chans", "num_classes", "global_pool"}
EPS = 1e-5  # of timm's batch norms
STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage; the others have 1 (Sandler et al., 2018, table 2)


def is_one(config: Mapping[str, Any]) -> bool:
    """Whether the config.json of a member's folder, in timm's Hub layout, is that of this network."""
    arguments = config.get("model_args", {})
    return (
        config["architecture"] == ARCHITECTURE
        and arguments.keys() <= ARGUMENTS
        and {config.get("global_pool", "avg"), arguments.get("global_pool", "avg")} == {"avg"}
    )


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
        layers: list[nn.Module] = [_convolution(state, "conv_stem", "bn1", stride=2), nn.ReLU6(inplace=True)]
        for stage, stride in enumerate(STRIDES):
            number = 0
            while f"blocks.{stage}.{number}.conv_dw.weight" in state:
                layers.append(_Block(state, f"blocks.{stage}.{number}", stride if number == 0 else 1))
                number += 1
        layers += [_convolution(state, "conv_head", "bn2"), nn.ReLU6(inplace=True)]
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
        layers: list[nn.Module] = []
        for number, (part, step) in enumerate(order, 1):
            layers += [_convolution(state, f"{name}.{part}", f"{name}.bn{number}", step), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])  # no activation after the projection
        first, last = layers[0], layers[-2]
        self.has_skip = stride == 1 and first.in_channels == last.out_channels

    def forward(self, images: Tensor) -> Tensor:
        return images + self.layers(images) if self.has_skip else self.layers(images)


def _convolution(state: dict[str, Tensor], name: str, norm: str, stride: int = 1) -> nn.Conv2d:
    """A convolution with the batch norm after it fused into it."""
    weight = state.pop(f"{name}.weight").float()
    mean, variance, scale, shift = (
        state.pop(f"{norm}.{part}").float() for part in ("running_mean", "running_var", "weight", "bias")
    )
    state.pop(f"{norm}.num_batches_tracked", None)
    fused = fuse_conv_bn_weights(weight, None, mean, variance, EPS, scale, shift)
    outputs, inputs, size, _ = weight.shape
    groups = outputs if name.endswith("conv_dw") else 1
    with torch.device("meta"):  # no random numbers, which would take longer than all else here
        convolution = nn.Conv2d(inputs * groups, outputs, size, stride, size // 2, groups=groups)
    convolution.weight, convolution.bias = fused
    return convolution
