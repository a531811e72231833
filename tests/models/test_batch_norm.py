import pytest
import torch
from torch import nn

from genre.features.log_mel import FRONT_ENDS
from genre.models.batch_norm import fuse_batch_norm
from genre.models.member import RANDOM, Member, create_backbone


def norms(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


def make_member(name: str) -> Member:
    """A member whose norms are not the identity, as after training."""
    torch.manual_seed(0)
    member = Member(create_backbone(name, 3, RANDOM), FRONT_ENDS["sparse"], -48.0, 18.0, (128, 64)).eval()
    for layer in member.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return member


# In the last one some norms precede their convolutions; these are not fused.
@pytest.mark.parametrize(("name", "left"), [("test_efficientnet", 0), ("test_resnet", 0), ("densenet121", 62)])
def test_a_fused_member_has_equal_outputs_without_its_norms(name, left):
    member = make_member(name)
    before, windows = norms(member), torch.randn(2, 128, 13) * 20 - 48
    fused = fuse_batch_norm(member)
    assert (norms(fused), norms(member)) == (left, before)
    with torch.inference_mode():
        torch.testing.assert_close(fused(windows), member(windows), atol=1e-4, rtol=1e-4)


class Forked(nn.Module):
    """A network that uses the output of a convolution twice, once without the norm."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.convolution, self.norm, self.backbone = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        cells = self.convolution(images)
        return self.backbone(self.norm(cells) + 5 * cells)


def test_a_network_that_fusion_would_change_is_not_fused():
    member = make_member("test_efficientnet")
    member.backbone = Forked(member.backbone).eval()
    member.backbone.norm.weight.data.fill_(-3.0)
    assert fuse_batch_norm(member) is member
