import hashlib
import json
import math
import re
import shutil
from pathlib import Path

import httpx2
import pytest
import torch
from safetensors.torch import save_file

import genre
from genre.audio.audio import Clip
from genre.errors import CheckpointError
from genre.features.log_mel import FRONT_ENDS, raise_level
from genre.inference.explain import member_inputs, patch_attributions
from genre.models import downloads
from genre.models.backbones import RANDOM, create_backbone
from genre.models.member import Member
from genre.models.model import SHIPPED, Fusion, GenreModel
from tests.conftest import music

SHIPPED_FOLDER = SHIPPED / "fma-small"


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SHIPPED_FOLDER, tmp_path / "copy")


def test_the_default_checkpoint_has_the_eight_genres():
    checkpoint = GenreModel.from_pretrained()
    assert checkpoint.labels == "Electronic,Experimental,Folk,Hip-Hop,Instrumental,International,Pop,Rock".split(",")
    assert checkpoint.metrics["test"]["FMA-small"]["tracks"] == 800
    size = sum(path.stat().st_size for path in SHIPPED_FOLDER.rglob("*") if path.is_file())
    assert size < 40e6


def test_an_unknown_name_lists_the_available_ones():
    with pytest.raises(CheckpointError, match="no checkpoint 'fma-huge'; there is .*fma-small"):
        genre.load("fma-huge")


@pytest.mark.parametrize(
    "error", [httpx2.ProxyError("403 Forbidden"), httpx2.ReadTimeout("")], ids=["proxy", "timeout"]
)
def test_a_network_that_fails_raises(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(downloads.HfApi, "model_info", fail)
    monkeypatch.setattr(downloads, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match="could not be downloaded from the Hugging Face Hub"):
        genre.load("hf-hub:user/repo")


CONFIG, MEMBER, METRICS = "config.json", "smooth/config.json", "metrics.json"
DAMAGE = {  # of a file; those of a member would take the memory of a server that loads models from anywhere
    "no members": (CONFIG, lambda config: config.pop("members")),
    "wrong labels": (CONFIG, lambda config: config.update(labels=config["labels"][:3])),
    "labels of one name": (CONFIG, lambda config: config.update(labels=["Folk"] * 8)),
    "numbers as labels": (CONFIG, lambda config: config.update(labels=list(range(8)))),
    "wrong bias": (CONFIG, lambda config: config.update(bias={"window": [0.0], "track": [0.0]})),
    "metrics without training": (METRICS, lambda metrics: metrics.pop("training")),
    "metrics of another source": (METRICS, lambda metrics: metrics.update(test={"other": {}})),
    "list of a member": (MEMBER, lambda config: config.update(pretrained_cfg=[])),
    "architecture larger than the weights": (
        MEMBER,
        lambda config: config.update(architecture="vit_giant_patch14_224"),
    ),
    "windows of a millisecond": (MEMBER, lambda config: config["front_end"].update(window_seconds=0.001)),
    "frames of a minute": (MEMBER, lambda config: config["front_end"].update(n_fft=2**22)),
    "images of a wall": (MEMBER, lambda config: config["pretrained_cfg"].update(input_size=[1, 20_000, 20_000])),
}


@pytest.mark.parametrize("name", [CONFIG, MEMBER, METRICS, "smooth/model.safetensors", "music.safetensors"])
def test_a_checkpoint_with_a_damaged_file_raises(copy, name):
    content = (copy / name).read_bytes()
    for damaged in (content[:-20], content[:-1] + bytes([content[-1] ^ 1]), b"[" * 100_000):
        (copy / name).write_bytes(damaged)
        load_damaged(copy)
    (copy / name).unlink()
    if name not in (CONFIG, METRICS):
        load_damaged(copy)


def music_detector(folder, config):
    """A file that is none."""
    (folder / "music.safetensors").write_bytes(b"not safetensors")
    config["music"] = sha256(folder / "music.safetensors")


def weights_of_another_size(folder, config):
    """As of two models that were mixed up."""
    member = config["members"][0]
    save_file({"conv_stem.weight": torch.zeros(8, 1, 3, 3)}, folder / member["folder"] / "model.safetensors")
    member["sha256"] = sha256(folder / member["folder"] / "model.safetensors")


def member_outside_of_the_folder(folder, config):
    member = config["members"][0]
    shutil.copytree(folder / member["folder"], folder.parent / member["folder"])
    member["folder"] = f"../{member['folder']}"


@pytest.mark.parametrize("damage", [music_detector, weights_of_another_size, member_outside_of_the_folder])
def test_a_checkpoint_with_a_wrong_file_raises(copy, damage):
    """Although its hash is right."""
    config = json.loads((copy / CONFIG).read_text())
    damage(copy, config)
    (copy / CONFIG).write_text(json.dumps(config))
    load_damaged(copy)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_raises(copy, damage):
    name, change = DAMAGE[damage]
    content = json.loads((copy / name).read_text())
    change(content)
    (copy / name).write_text(json.dumps(content))
    before = peak_of(lambda: None)
    assert peak_of(load_damaged, copy) - before < 2**28


def load_damaged(folder):
    with pytest.raises(CheckpointError, match=r"damaged; fetch (it|them) again\.$|do not fit its members\.$"):
        genre.load(folder)


def peak_of(run, *arguments):
    """Most bytes of memory that this process has while it runs a function; 0 on systems other than Linux."""
    if not Path("/proc/self/clear_refs").exists():
        return run(*arguments) or 0
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, see proc_pid_clear_refs(5)
    run(*arguments)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak[1]) * 1024


@pytest.fixture
def small():
    """A model of one small member with random weights."""
    member = Member(create_backbone("test_efficientnet", 2, RANDOM), FRONT_ENDS["dense"], -40.0, 20.0, (128, 130))
    return GenreModel(["Quiet", "Loud"], {"dense": member})


def test_one_member_is_enough(small, tmp_path, example):
    small.track_fusion = Fusion(torch.ones(1), bias=torch.tensor([9.0, 0.0]))
    small.save_pretrained(tmp_path / "mine")
    prediction = genre.load(tmp_path / "mine").classify(example)
    assert set(prediction.probabilities) == {"Quiet", "Loud"}
    assert prediction.confidence > 0.99  # by the bias, which is stored
    assert prediction.checkpoint == "mine"


def test_a_model_is_saved_as_it_was_read(tmp_path):
    model = GenreModel.from_pretrained()
    model.save_pretrained(tmp_path / "fma-small")
    for name in ("metrics.json", "README.md", "smooth/config.json", "smooth/model.safetensors"):
        assert (tmp_path / "fma-small" / name).read_bytes() == (SHIPPED_FOLDER / name).read_bytes(), name
    saved, shipped = (json.loads((one / "config.json").read_text()) for one in (tmp_path / "fma-small", SHIPPED_FOLDER))
    assert saved.pop("music") and shipped.pop("music")  # in whose file the order of the metadata is random
    assert saved == shipped
    detector = GenreModel.from_pretrained(tmp_path / "fma-small").detector
    assert torch.equal(detector.weight, model.detector.weight) and detector.threshold == model.detector.threshold


def test_a_model_for_inference_is_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="read for inference cannot be saved"):
        GenreModel.from_pretrained(for_inference=True).save_pretrained(tmp_path / "mine")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_outputs_are_those_of_the_members_called_one_by_one():
    model = GenreModel.from_pretrained()
    waveform, starts = torch.from_numpy(music(20)), torch.arange(0, 18, 1.5)
    with torch.inference_mode():
        log_probabilities, features = model(waveform, starts)
        assert log_probabilities.keys() == features.keys() == model.members.keys()
        for name, member in model.members.items():
            whole = member.log_mel.config.window_seconds > 3
            windows = member.log_mel(raise_level(waveform), torch.zeros(1) if whole else starts)
            torch.testing.assert_close(log_probabilities[name], member(windows).log_softmax(-1), atol=1e-4, rtol=0)
            torch.testing.assert_close(features[name], member.embed(windows), atol=1e-4, rtol=1e-3)


def test_everything_is_computed_on_the_device_of_the_model():
    """Tensors of the device "meta" have no values, and operations on them and others, but for single numbers, raise."""
    model = GenreModel.from_pretrained().to("meta")
    waveform, starts = torch.from_numpy(music(10)), torch.arange(0, 9, 3.0)
    with torch.inference_mode():
        log_probabilities, features = model(waveform, starts)
        window, track = model.window_probabilities(log_probabilities), model.track_probabilities(log_probabilities)
        logits = model.detector(features[model.detector.member])
    assert {one.device.type for one in (*features.values(), *log_probabilities.values(), window, logits)} == {"meta"}
    assert (window.shape, track.shape, logits.shape) == ((3, 8), (8,), (3,))
    inputs = member_inputs(model, Clip(waveform.numpy(), 0.0, [0.0], 10.0), 0.0)
    assert patch_attributions(model, inputs, 1).device.type == "meta"


def test_fusion_adds_weighted_log_probabilities():
    first, second = torch.tensor([0.8, 0.2]).log(), torch.tensor([0.4, 0.6]).log()
    fused = Fusion(torch.tensor([0.75, 0.25]), 0.5)(torch.stack([first, second]))
    expected = torch.tensor([0.8**1.5 * 0.4**0.5, 0.2**1.5 * 0.6**0.5])
    torch.testing.assert_close(fused, expected / expected.sum())
    biased = Fusion(torch.tensor([0.75, 0.25]), 0.5, torch.tensor([0.0, 1.0]))(torch.stack([first, second]))
    assert biased[1] / biased[0] == pytest.approx(expected[1] / expected[0] * math.e)
