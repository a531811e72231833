import json
import math
import re
import shutil
from pathlib import Path

import httpx2
import pytest
import torch

import genre
from genre.errors import CheckpointError
from genre.features.log_mel import FRONT_ENDS
from genre.models import locations
from genre.models.checkpoint import (
    ConfidenceLimits,
    Fusion,
    add_music_detector,
    load_checkpoint,
    save_checkpoint,
)
from genre.models.locations import SHIPPED
from genre.models.member import RANDOM, Member, create_backbone
from genre.models.music import MusicDetector

SHIPPED_FOLDER = SHIPPED / "fma-small"


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SHIPPED_FOLDER, tmp_path / "copy")


def test_the_default_checkpoint_has_the_eight_genres():
    checkpoint = load_checkpoint()
    assert checkpoint.labels == "Electronic,Experimental,Folk,Hip-Hop,Instrumental,International,Pop,Rock".split(",")
    assert checkpoint.metrics["test"]["FMA-small"]["tracks"] == 800
    size = sum(path.stat().st_size for path in SHIPPED_FOLDER.rglob("*") if path.is_file())
    assert size < 40e6


def test_a_folder_and_a_name_load_the_same_weights(copy):
    windows = torch.rand(2, 64, 130) * -80
    with torch.inference_mode():
        one, other = (load_checkpoint(name).members["smooth"](windows) for name in ("fma-small", copy))
    assert torch.equal(one, other)


def test_an_unknown_name_lists_the_available_ones():
    with pytest.raises(CheckpointError, match="no checkpoint 'fma-huge'; there is .*fma-small"):
        genre.load("fma-huge")


@pytest.mark.parametrize(
    "error", [httpx2.ProxyError("403 Forbidden"), httpx2.ReadTimeout("")], ids=["proxy", "timeout"]
)
def test_a_network_that_fails_raises(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(locations.HfApi, "model_info", fail)
    monkeypatch.setattr(locations, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match="could not be downloaded from the Hugging Face Hub"):
        genre.load("hf-hub:user/repo")


def test_weights_with_another_hash_are_not_loaded(copy):
    weights = copy / "smooth" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="weights of checkpoint .* are damaged"):
        genre.load(copy)


def test_checkpoints_of_earlier_versions_are_loaded(copy):
    """One source without a name in the figures, no bias, and other names for the limits."""
    now = load_checkpoint(copy)
    config, metrics = (json.loads((copy / name).read_text()) for name in ("config.json", "metrics.json"))
    limits = config.pop("limits")
    config["certainty"] = {"sure_from": limits["confident_from"], "plausible_from": limits["prediction_set_from"]}
    del config["bias"]
    source, figures = metrics["training"].pop("sources")["FMA-small"], metrics["test"]["FMA-small"]
    figures["track"]["certainty"] = figures["track"].pop("limits")
    tracks = {split: source[split] for split in ("training", "validation", "test")}
    metrics = {"training": metrics["training"] | {"data": "FMA-small, features", "tracks": tracks}, "test": figures}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "metrics.json").write_text(json.dumps(metrics))
    before = load_checkpoint(copy)
    assert before.limits == now.limits
    assert before.track.temperature == now.track.temperature and not before.track.bias.any()
    assert before.metrics["test"] == {"FMA-small": now.metrics["test"]["FMA-small"]}
    assert before.metrics["training"]["sources"] == {"FMA-small": {"share": 1.0, **tracks}}


OF_A_MEMBER = {  # what would take the memory of a server that loads models from anywhere
    "architecture larger than the weights": lambda config: config.update(architecture="vit_giant_patch14_224"),
    "windows of a millisecond": lambda config: config["front_end"].update(window_seconds=0.001),
    "frames of a minute": lambda config: config["front_end"].update(n_fft=2**22),
    "images of a wall": lambda config: config["pretrained_cfg"].update(input_size=[1, 20_000, 20_000]),
}


@pytest.mark.parametrize(
    "damage",
    [
        "no json",
        "no members",
        "missing member",
        "wrong labels",
        "wrong bias",
        "list of metrics",
        "list of a member",
        "metrics without training",
        "metrics of another source",
        "music by no member",
        "music by another member",
        "labels of one name",
        "numbers as labels",
        "architecture larger than the weights",
        "windows of a millisecond",
        "frames of a minute",
        "images of a wall",
    ],
)
def test_a_damaged_checkpoint_raises(copy, damage):
    path = copy / "config.json"
    config = json.loads(path.read_text())
    if damage == "no members":
        del config["members"]
    elif damage == "missing member":
        shutil.rmtree(copy / "smooth")
    elif damage == "wrong bias":
        config["bias"] = {"window": [0.0], "track": [0.0]}
    elif damage == "list of metrics":
        (copy / "metrics.json").write_text("[]")
    elif damage == "metrics without training":
        (copy / "metrics.json").write_text('{"test": {}}')
    elif damage == "metrics of another source":
        metrics = json.loads((copy / "metrics.json").read_text())
        (copy / "metrics.json").write_text(json.dumps(metrics | {"test": {"other": {}}}))
    elif damage.startswith("music"):
        (copy / "music.safetensors").unlink()
        other = MusicDetector("other" if "no" in damage else "smooth", torch.zeros(7), 0.0, 0.5)
        add_music_detector(copy, other)
        config = json.loads(path.read_text())
    elif damage == "list of a member":
        (copy / "smooth" / "config.json").write_text(
            json.dumps(json.loads((copy / "smooth" / "config.json").read_text()) | {"pretrained_cfg": []})
        )
    elif damage == "labels of one name":
        config["labels"] = ["Folk"] * 8
    elif damage == "numbers as labels":
        config["labels"] = list(range(8))
    elif damage in OF_A_MEMBER:
        member = copy / "smooth" / "config.json"
        changed = json.loads(member.read_text())
        OF_A_MEMBER[damage](changed)
        member.write_text(json.dumps(changed))
    elif damage == "wrong labels":
        config["labels"] = config["labels"][:3]
    path.write_text("{" if damage == "no json" else json.dumps(config))
    before = peak_of(lambda: None)
    assert peak_of(load_damaged, copy) - before < 2**28


def load_damaged(folder):
    with pytest.raises(CheckpointError):
        genre.load(folder)


def peak_of(run, *arguments):
    """Most bytes of memory that this process has while it runs a function; 0 on systems other than Linux."""
    if not Path("/proc/self/clear_refs").exists():
        return run(*arguments) or 0
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, see proc_pid_clear_refs(5)
    run(*arguments)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak[1]) * 1024


def test_one_member_is_enough(tmp_path, example):
    member = Member(create_backbone("test_efficientnet", 2, RANDOM), FRONT_ENDS["dense"], -40.0, 20.0, (128, 130))
    alone, biased = Fusion(torch.ones(1), 1.0), Fusion(torch.ones(1), 1.0, torch.tensor([9.0, 0.0]))
    save_checkpoint(tmp_path / "mine", ["Quiet", "Loud"], {"dense": member}, alone, biased, ConfidenceLimits(0.5, 0.1))
    prediction = genre.load(tmp_path / "mine").classify(example)
    assert set(prediction.probabilities) == {"Quiet", "Loud"}
    assert prediction.confidence > 0.99  # by the bias, which is stored
    assert prediction.checkpoint == "mine"


def test_fusion_adds_weighted_log_probabilities():
    first, second = torch.tensor([0.8, 0.2]).log(), torch.tensor([0.4, 0.6]).log()
    fused = Fusion(torch.tensor([0.75, 0.25]), 0.5)(torch.stack([first, second]))
    expected = torch.tensor([0.8**1.5 * 0.4**0.5, 0.2**1.5 * 0.6**0.5])
    torch.testing.assert_close(fused, expected / expected.sum())
    biased = Fusion(torch.tensor([0.75, 0.25]), 0.5, torch.tensor([0.0, 1.0]))(torch.stack([first, second]))
    assert biased[1] / biased[0] == pytest.approx(expected[1] / expected[0] * math.e)
