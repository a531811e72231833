import csv
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from accelerate import Accelerator

import genre
from genre.audio import decode
from genre.augment import NO_CHANGE, Augmentation
from genre.checkpoint import load_checkpoint
from genre.data import FORMATS, Windows, read_index
from genre.errors import GenreError
from genre.frontend import FRONT_ENDS
from genre.model import RANDOM, Member, create_backbone
from genre.training import Recipe, track_log_probabilities, train_member
from tests.conftest import ROOT, write_audio

TINY = Recipe(
    "sparse",
    "test_efficientnet",
    input_size=(64, 32),
    epochs=4,
    batch_size=16,
    warmup_epochs=0.2,
    ema_decay=0.9,
    teacher_weight=0.5,  # the teacher of these tests is noise, which has nothing to say
)

ONE_PROCESS = Accelerator(cpu=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two easy genres: energy in the lower or in the upper half of the bands, under noise."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    splits = ["training"] * 64 + ["validation"] * 32 + ["test"] * 32
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "note"])
        writer.writerows((i, ("High", "Low")[i % 2], split, "") for i, split in enumerate(splits))
    mel = random.integers(0, 60, (128, 128, 128), dtype=np.uint8)
    mel[::2, 64:] += 50
    mel[1::2, :64] += 50
    np.save(folder / FORMATS["sparse"].file, mel)
    cepstra = random.integers(-20, 20, (128, 20, 130), dtype=np.int16)
    cepstra[1::2, 1] += 600
    np.save(folder / FORMATS["smooth"].file, cepstra)
    np.save(folder / "vggish.npy", random.normal(size=(128, 128)).astype(np.float16))
    return folder


def new_member(training, recipe=TINY):
    torch.manual_seed(recipe.seed)
    backbone = create_backbone(recipe.backbone, 2, RANDOM)
    return Member(backbone, FRONT_ENDS["sparse"], *training.statistics(), recipe.input_size)


def windows_of(folder):
    index = read_index(folder)
    return Windows(index, "training", "sparse"), Windows(index, "validation", "sparse")


def test_a_member_learns_what_parts_the_genres(folder, tmp_path):
    training, validation = windows_of(folder)
    member = new_member(training)
    before = track_log_probabilities(member, validation).exp().mean(1).argmax(-1)
    accuracy = train_member(ONE_PROCESS, member, training, validation, TINY, tmp_path / "state.pt")
    after = track_log_probabilities(member, validation).exp().mean(1).argmax(-1)
    assert (before == validation.labels).float().mean() < 0.8
    assert (after == validation.labels).float().mean() == pytest.approx(accuracy)
    assert accuracy > 0.9


def test_an_interrupted_run_ends_with_the_same_weights(folder, tmp_path, monkeypatch):
    training, validation = windows_of(folder)
    whole, stopped, resumed = (new_member(training) for _ in range(3))
    train_member(ONE_PROCESS, whole, training, validation, TINY, tmp_path / "whole.pt")

    draws = 0
    random = training.random

    def interrupt(*arguments):
        nonlocal draws
        draws += 1
        if draws > 12:  # within the second epoch of eight steps
            raise KeyboardInterrupt
        return random(*arguments)

    monkeypatch.setattr(training, "random", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_member(ONE_PROCESS, stopped, training, validation, TINY, tmp_path / "state.pt")
    monkeypatch.undo()
    train_member(ONE_PROCESS, resumed, training, validation, TINY, tmp_path / "state.pt", resume=True)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_run_with_other_settings_is_not_resumed(folder, tmp_path):
    training, validation = windows_of(folder)
    train_member(ONE_PROCESS, new_member(training), training, validation, TINY, tmp_path / "state.pt")
    other = Recipe(**{**TINY.__dict__, "learning_rate": 3e-4})
    with pytest.raises(GenreError, match="other settings"):
        train_member(
            Accelerator(cpu=True), new_member(training), training, validation, other, tmp_path / "state.pt", resume=True
        )


def test_a_loss_that_is_no_number_stops_with_a_hint(folder, tmp_path):
    training, validation = windows_of(folder)
    member = new_member(training)
    member.std = 0.0
    with pytest.raises(GenreError, match="lower --learning-rate"):
        train_member(ONE_PROCESS, member, training, validation, TINY, tmp_path / "state.pt")


def test_augmentation_changes_levels_but_not_shapes():
    torch.manual_seed(0)
    windows = -80 * torch.rand(16, 128, 13)
    changed = Augmentation()(windows)
    assert changed.shape == windows.shape
    assert changed.isfinite().all()
    assert not torch.allclose(changed, windows)
    torch.testing.assert_close(NO_CHANGE(windows), windows)
    assert NO_CHANGE.mix(windows)[0] is windows


def test_a_phone_hears_neither_end_of_the_spectrum_but_the_same_level():
    torch.manual_seed(0)
    windows = -40 - 20 * torch.rand(16, 128, 13)
    windows[:, :, 0] = -80  # a pause
    heard = Augmentation(phone=1.0)._phone(windows)
    torch.testing.assert_close(heard.amax(dim=(1, 2)), windows.amax(dim=(1, 2)))
    assert heard.amin() >= -80
    level = heard[:, :, 1:].mean(dim=(0, 2))
    assert level[-8:].mean() < level[40:80].mean() - 10
    assert level[:4].mean() < level[40:80].mean()
    assert (heard[:, 60, 0] > -80).any()  # noise fills the pauses


def test_an_equaliser_lifts_whole_bands():
    torch.manual_seed(0)
    windows = torch.full((4, 128, 13), -40.0)
    windows[:, :, 0] = -80
    changed = Augmentation(equaliser=6.0)._equalise(windows)[:, :, 1:]
    assert changed.std(dim=2).max() < 1e-4
    assert (changed[:, :, 0].std(dim=1) > 1).all()


def test_mixup_blends_targets_as_it_blends_windows():
    torch.manual_seed(0)
    labels = torch.eye(4).repeat(8, 1)
    windows = labels[:, :, None].expand(-1, -1, 5)  # each window shows its own label
    mixed, targets = Augmentation(mixup=0.5).mix(windows, labels)
    torch.testing.assert_close(mixed[:, :, 0], targets)
    torch.testing.assert_close(targets.sum(1), torch.ones(32))
    assert ((targets > 0) & (targets < 1)).any()


def run_train(folder, out, *arguments, cwd):
    command = [sys.executable, str(ROOT / "train.py"), "--data", str(folder), "--out", str(out), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_trains_fuses_measures_and_saves(folder, tmp_path):
    out = tmp_path / "two"
    options = ["--from-scratch", "--backbone", "test_efficientnet", "--epochs", "3", "--batch-size", "8"]
    done = run_train(folder, out, *options, "--test", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test"]["track"]["top1"] > 0.9
    assert metrics["training"]["tracks"] == {"training": 64, "validation": 32, "test": 32}
    assert str(tmp_path) not in (out / "metrics.json").read_text() + (out / "README.md").read_text()
    assert genre.load(out).labels == ["High", "Low"]

    again = run_train(folder, out, "--evaluate", str(out), "--split", "test", cwd=tmp_path)
    printed = re.findall(r"^ +test .*$", done.stdout, re.MULTILINE)
    assert printed and printed == re.findall(r"^ +test .*$", again.stdout, re.MULTILINE)


def test_members_of_a_checkpoint_are_kept_as_they_are(folder, tmp_path):
    options = ["--from-scratch", "--backbone", "test_efficientnet", "--epochs", "1", "--batch-size", "8"]
    for out, more in (("one", ["sparse"]), ("two", ["sparse", "smooth", "--keep", str(tmp_path / "one")])):
        done = run_train(folder, tmp_path / out, *options, "--members", *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    before, after = (tmp_path / out / "sparse" / "model.safetensors" for out in ("one", "two"))
    assert before.read_bytes() == after.read_bytes()
    two = genre.load(tmp_path / "two").checkpoint
    assert list(two.members) == ["sparse", "smooth"]
    assert two.metrics["training"]["kept"]["sparse"].endswith("--members sparse")
    assert two.metrics["training"]["kept"]["sparse"] in two.card
    done = run_train(folder, tmp_path / "three", "--keep", "fma-small", cwd=tmp_path)
    assert done.returncode == 1
    assert "fma-small is for other genres than this data" in done.stderr


def test_training_goes_on_with_the_network_it_started_from(folder, tmp_path):
    new = ["--from-scratch", "--backbone", "test_efficientnet", "--members", "sparse", "--epochs", "1"]
    more = ["--from", str(tmp_path / "start"), "--epochs", "1", "--part", "0.5", "--seed", "1", "2"]
    for out, options in (("start", new), ("end", more)):
        done = run_train(folder, tmp_path / out, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "sparse: test_efficientnet" in done.stdout
    start, end = (load_checkpoint(tmp_path / name) for name in ("start", "end"))
    assert "backbone='test_efficientnet'" in end.metrics["training"]["members"]["sparse"]
    first, second = (torch.load(tmp_path / "runs" / "end" / f"sparse-{seed}.pt")["best"] for seed in (1, 2))
    old = start.members["sparse"].state_dict()
    for name, value in end.members["sparse"].state_dict().items():
        if value.is_floating_point():
            expected = (old[name] + (first[name] + second[name]) / 2) / 2
            torch.testing.assert_close(value, expected, atol=2e-3, rtol=2e-3)  # stored as float16
    assert not torch.equal(first["backbone.conv_stem.weight"], second["backbone.conv_stem.weight"])
    done = run_train(folder, tmp_path / "other", *more, "--backbone", "test_resnet", cwd=tmp_path)
    assert done.returncode == 2 and "no --backbone to choose" in done.stderr


def test_the_command_says_what_is_missing(tmp_path):
    for folder, said in ((tmp_path / "nowhere", "There is no folder"), (tmp_path, "needs at least two sub-folders")):
        done = run_train(folder, tmp_path / "out", cwd=tmp_path)
        assert done.returncode == 1
        assert said in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def genre_folder(tmp_path_factory, fma_clips):
    """Real clips of two sorts, cut into short files, as somebody's own collection."""
    folder = tmp_path_factory.mktemp("collection")
    for name, tracks in (("Hip-Hop", (2, 5)), ("Experimental", (1069, 1075))):
        (folder / name).mkdir()
        for track in tracks:
            whole = decode(fma_clips[track], 22050).numpy()
            for part in range(5):
                cut = whole[part * 6 * 22050 : (part + 1) * 6 * 22050]
                write_audio(folder / name / f"{track}_{part}.flac", [cut], "flac", rate=22050)
    return folder


def test_a_folder_of_songs_becomes_a_model(genre_folder, tmp_path):
    out = tmp_path / "checkpoint"
    options = ["--from-scratch", "--backbone", "test_efficientnet", "--epochs", "2", "--batch-size", "8", "--test"]
    done = run_train(genre_folder, out, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Hip-Hop: 8 training, 1 validation, 1 test" in done.stdout
    classifier = genre.load(out)
    assert classifier.labels == ["Experimental", "Hip-Hop"]
    assert list(classifier.checkpoint.members) == ["dense"]
    assert classifier.classify(genre_folder / "Hip-Hop" / "2_0.flac").windows


def test_a_trained_model_learns_new_genres(genre_folder, tmp_path):
    out = tmp_path / "checkpoint"
    options = ["--from", "fma-small", "--members", "sparse", "--epochs", "3", "--batch-size", "8"]
    done = run_train(genre_folder, out, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "with a new head for 2 genres in place of 8" in done.stdout
    classifier = genre.load(out)
    paths = sorted(genre_folder.glob("*/*.flac"))
    right = [classifier.classify(path).genre == path.parent.name for path in paths]
    assert sum(right) >= 15, f"{sum(right)} of {len(right)}"


def test_a_killed_command_ends_with_the_same_weights(folder, tmp_path):
    options = ["--from-scratch", "--backbone", "test_efficientnet", "--members", "sparse", "--epochs", "4"]
    assert run_train(folder, "whole", *options, cwd=tmp_path).returncode == 0

    state = tmp_path / "runs" / "killed" / "sparse-0.pt"
    command = [sys.executable, str(ROOT / "train.py"), "--data", str(folder), "--out", "killed", *options]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait(20)
    assert state.is_file() and not (tmp_path / "killed").exists()

    assert run_train(folder, "killed", *options, "--resume", cwd=tmp_path).returncode == 0
    weights = [(tmp_path / out / "sparse" / "model.safetensors").read_bytes() for out in ("whole", "killed")]
    assert weights[0] == weights[1]


def test_two_processes_train_as_well_as_one(folder, tmp_path):
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", str(ROOT / "train.py")]
    options = ["--from-scratch", "--backbone", "test_efficientnet", "--members", "sparse", "--epochs", "6"]
    command = [sys.executable, *launch, "--data", str(folder), "--out", "two", *options, "--batch-size", "8"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 6/6") == 1  # one of them speaks
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert metrics["validation"]["track"]["top1"] > 0.9
