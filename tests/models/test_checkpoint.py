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
    load_checkpoint,
    save_checkpoint,
)
from genre.models.locations import SHIPPED
from genre.models.member import RANDOM, Member, create_backbone

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


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_raises(copy, damage):
    name, change = DAMAGE[damage]
    content = json.loads((copy / name).read_text())
    change(content)
    (copy / name).write_text(json.dumps(content))
    before = peak_of(lambda: None)
    assert peak_of(load_damaged, copy) - before < 2**28


@pytest.mark.parametrize("name", [CONFIG, MEMBER, METRICS])
def test_a_checkpoint_with_a_cut_file_raises(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-20])
    load_damaged(copy)


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
