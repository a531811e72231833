import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from accelerate import Accelerator

from genre.data.dataset import read_data
from genre.data.windows import MIN_STEPS, Draws, Mixture
from genre.errors import GenreError
from genre.features.log_mel import FRONT_ENDS
from genre.files import move, write_json
from genre.models.backbones import RANDOM, create_backbone
from genre.models.member import Member
from genre.models.model import GenreModel
from genre.training.loop import FRACTIONS, Start, Validation, train_member, train_stage
from genre.training.recipe import Recipe, Stage
from tests.inference.test_jsonl import small_disk

TINY = Recipe(
    "sparse",
    "test_efficientnet",
    input_size=(64, 32),
    batch_size=16,
    warmup_epochs=0.2,
    ema_decay=0.9,
    distillation_weight=0.5,  # the teacher embeddings of these tests are noise
)
STAGE = Stage(epochs=2)

ONE_PROCESS = Accelerator(cpu=True)


def new_member(training, recipe=TINY):
    torch.manual_seed(recipe.seed)
    backbone = create_backbone(recipe.backbone, 2, RANDOM)
    return Member(backbone, FRONT_ENDS["sparse"], *training.statistics(), recipe.input_size)


def windows_of(folder):
    data = read_data({"one": folder})
    return Mixture(data, "sparse"), Validation(data, "sparse")


def test_a_member_learns_to_classify(folder, tmp_path):
    training, validation = windows_of(folder)
    member = new_member(training)
    before = validation(member)
    train_stage(ONE_PROCESS, member, training, validation, TINY, STAGE, tmp_path / "state.pt")
    after = validation(member)
    assert before.accuracies["one"] < 0.8
    assert after.loss == pytest.approx(torch.load(tmp_path / "state.pt")["best_loss"], rel=1e-4)
    assert after.loss < before.loss - 0.1
    assert after.accuracies["one"] > 0.9


def test_two_stages_end_between_the_weights_of_both_where_validation_loss_is_lowest(folder, tmp_path):
    data, recipe = read_data({"one": folder}), replace(TINY, pretrained=Stage(1), fine_tuning=Stage(1, runs=2))
    member, _ = train_member(ONE_PROCESS, "sparse", recipe, data, Start(random=True), tmp_path)
    first, *second = (
        torch.load(tmp_path / f"sparse-{run}.pt")["best"] for run in ("pretrained-0", "fine_tuning-0", "fine_tuning-1")
    )
    candidates = {}
    for fraction in FRACTIONS:
        mean = {
            name: (one + other) / 2 for (name, one), other in zip(second[0].items(), second[1].values(), strict=True)
        }
        candidates[fraction] = {name: (1 - fraction) * first[name] + fraction * mean[name] for name in first}
    validation, losses = Validation(data, "sparse"), {}
    end = {name: value.clone() for name, value in member.state_dict().items()}
    for fraction, state in candidates.items():
        member.load_state_dict(state)
        losses[fraction] = validation(member).loss
    expected = candidates[min(losses, key=losses.get)]
    for name, value in end.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], msg=name)


def test_robust_fine_tuning_has_spectral_holes_and_ends_halfway(folder, tmp_path):
    recipe = replace(TINY, pretrained=Stage(1), fine_tuning=Stage(0), robust_fine_tuning=Stage(1, codec=0.9))
    member, _ = train_member(ONE_PROCESS, "sparse", recipe, read_data({"one": folder}), Start(random=True), tmp_path)
    assert not (tmp_path / "sparse-fine_tuning-0.pt").exists()
    before, after = (torch.load(tmp_path / f"sparse-{stage}-0.pt") for stage in ("pretrained", "robust_fine_tuning"))
    assert [state["settings"]["augmentation"]["codec"] for state in (before, after)] == [0, 0.9]
    for name, value in member.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (before["best"][name] + after["best"][name]) / 2, msg=name)


def test_an_interrupted_run_ends_with_the_same_weights(folder, tmp_path, monkeypatch):
    training, validation = windows_of(folder)
    whole, stopped, resumed = (new_member(training) for _ in range(3))
    train_stage(ONE_PROCESS, whole, training, validation, TINY, STAGE, tmp_path / "whole.pt")

    draws = 0
    random = training.random

    def interrupt(*arguments):
        nonlocal draws
        draws += 1
        if draws > 1.5 * MIN_STEPS:  # within the second epoch
            raise KeyboardInterrupt
        return random(*arguments)

    monkeypatch.setattr(training, "random", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_stage(ONE_PROCESS, stopped, training, validation, TINY, STAGE, tmp_path / "state.pt")
    monkeypatch.undo()
    train_stage(ONE_PROCESS, resumed, training, validation, TINY, STAGE, tmp_path / "state.pt", resume=True)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_damaged_state_is_named_with_the_way_on(folder, tmp_path):
    training, validation = windows_of(folder)
    state, once = tmp_path / "state.pt", Stage(epochs=1)
    train_stage(ONE_PROCESS, new_member(training), training, validation, TINY, once, state)
    whole = state.read_bytes()
    half = len(whole) // 2
    zeros_within = whole[:half] + bytes(4096) + whole[half + 4096 :]  # of the weights, where torch.load notices nothing
    for damaged in (b"", whole[:half], bytes(len(whole)), zeros_within):
        state.write_bytes(damaged)
        with pytest.raises(GenreError, match=r"^\S+/state\.pt is damaged; remove it, and --resume .* anew\.$"):
            train_stage(ONE_PROCESS, new_member(training), training, validation, TINY, once, state, resume=True)


def test_a_full_disk_leaves_the_state_before_and_nothing_else(folder, tmp_path):
    training, validation = windows_of(folder)
    state = tmp_path / "state.pt"
    state.write_bytes(b"before")
    with (
        small_disk(100_000),
        pytest.raises(GenreError, match=r"state\.pt cannot be written: File too large\. --resume"),
    ):
        train_stage(ONE_PROCESS, new_member(training), training, validation, TINY, Stage(epochs=1), state)
    assert state.read_bytes() == b"before" and list(tmp_path.iterdir()) == [state]


def test_a_file_is_on_the_disk_before_it_replaces_another(tmp_path, monkeypatch):
    events = []
    sync, rename = os.fsync, Path.replace

    def record_sync(number):
        events.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        sync(number)

    def record_rename(path, target):
        events.append("rename")
        rename(path, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_rename)
    write_json(tmp_path / "one.json", {})
    (tmp_path / "new").mkdir()
    write_json(tmp_path / "new" / "two.json", {})
    events.clear()
    write_json(tmp_path / "one.json", {"a": 1})
    move(tmp_path / "new", tmp_path / "old")
    assert events == [f"{tmp_path}/one.json.tmp", "rename", f"{tmp_path}/new/two.json", "rename"]


def test_a_run_of_another_training_is_not_resumed_with_the_reason(folder, tmp_path):
    data = read_data({"one": folder, "two": folder}, shares=[1, 1])
    recipe = replace(TINY, pretrained=Stage(1), fine_tuning=Stage(0), share_power=None)
    start = Start(random=True)
    train_member(ONE_PROCESS, "sparse", recipe, data, start, tmp_path)
    torch.save(timm.create_model(recipe.backbone).state_dict(), tmp_path / "w.pth")
    first, second = data.sources
    fewer = replace(first, **{name: getattr(first, name)[1:] for name in ("ids", "rows", "labels", "splits", "songs")})
    for other, message in (
        ((replace(recipe, pretrained=Stage(2)), data, start), "made with other settings"),
        ((recipe, data.weighted([0.25, 0.75]), start), "made with other settings"),
        ((recipe, data, Start(weights=tmp_path / "w.pth")), "made with other settings"),
        ((recipe, replace(data, sources=[fewer, second]), start), "The songs have changed since"),
    ):
        with pytest.raises(GenreError, match=message):
            train_member(ONE_PROCESS, "sparse", *other, tmp_path, resume=True)


def test_the_part_of_the_way_can_be_chosen_and_a_member_left_as_it_is(folder, tmp_path):
    data, recipe = read_data({"one": folder}), replace(TINY, fine_tuning=Stage(1))
    GenreModel(data.genres, {"sparse": new_member(Mixture(data, "sparse"))}).save_pretrained(tmp_path / "start")
    known = GenreModel.from_pretrained(tmp_path / "start")
    kept, ended = (
        train_member(ONE_PROCESS, "sparse", replace(recipe, interpolation=part), data, Start(known), tmp_path / "runs")[
            0
        ]
        for part in (0, 1)
    )
    best = torch.load(tmp_path / "runs" / "sparse-fine_tuning-0.pt")["best"]
    for name, value in known.members["sparse"].state_dict().items():
        assert torch.equal(kept.state_dict()[name], value), name
        torch.testing.assert_close(ended.state_dict()[name], best[name], msg=name)
    assert data.weighted([3]).shares == [1] and data.weighted(None) is data


def test_a_new_training_sets_the_states_of_the_one_before_aside(folder, tmp_path):
    """Otherwise --resume would average runs of both."""
    data, recipe = read_data({"one": folder}), replace(TINY, pretrained=Stage(0), fine_tuning=Stage(1, runs=2))
    train_member(ONE_PROCESS, "sparse", recipe, data, Start(random=True), tmp_path)
    assert (tmp_path / "sparse-fine_tuning-1.pt").is_file()
    one_run = replace(recipe, fine_tuning=Stage(epochs=1))
    train_member(ONE_PROCESS, "sparse", one_run, data, Start(random=True), tmp_path)
    assert [path.name for path in tmp_path.glob("*.pt")] == ["sparse-fine_tuning-0.pt"]
    assert len(list(tmp_path.glob("earlier/*.pt"))) == 2
    train_member(ONE_PROCESS, "sparse", one_run, data, Start(random=True), tmp_path)
    assert len(list(tmp_path.glob("earlier*/*.pt"))) == 3  # of two trainings: none is lost


def test_a_loss_that_is_not_finite_raises(folder, tmp_path):
    training, validation = windows_of(folder)
    member = new_member(training)
    member.std = 0.0
    with pytest.raises(GenreError, match="lower --learning-rate"):
        train_stage(ONE_PROCESS, member, training, validation, TINY, STAGE, tmp_path / "state.pt")


def test_weights_do_not_depend_on_the_number_of_workers_nor_copies_of_arrays(folder, tmp_path):
    training, validation = windows_of(folder)
    ends = [new_member(training) for _ in range(2)]
    curves = [
        train_stage(ONE_PROCESS, end, training, validation, TINY, STAGE, tmp_path / f"{n}.pt", workers=n)
        for n, end in zip((0, 2), ends, strict=True)
    ]
    assert curves[0] == curves[1] and [one["epoch"] for one in curves[0]] == [1, 2]
    for (name, one), other in zip(ends[0].state_dict().items(), ends[1].state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    draw = next(iter(Draws(training, 8, 1, seed=0)))
    pickled = pickle.dumps(training)  # as for processes that are not forked
    assert len(pickled) < training.sources[0].array.nbytes / 2
    assert all(one.equal(other) for one, other in zip(training[draw], pickle.loads(pickled)[draw], strict=True))


def test_each_loss_and_learning_rate_is_logged_and_norms_and_biases_do_not_decay(folder, tmp_path, monkeypatch):
    training, validation = windows_of(folder)
    logged = []
    monkeypatch.setattr(ONE_PROCESS, "log", lambda values, step: logged.append((step, values)))
    member = new_member(training)
    train_stage(ONE_PROCESS, member, training, validation, TINY, Stage(2), tmp_path / "state.pt")
    steps = [step for step, values in logged if "learning rate" in values]
    assert steps == list(range(1, 2 * MIN_STEPS + 1)) and all("loss" in values for step, values in logged[:3])
    assert [step for step, values in logged if "validation loss" in values] == [MIN_STEPS, 2 * MIN_STEPS]
    groups = torch.load(tmp_path / "state.pt")["optimizer"]["param_groups"]
    sizes = {group["weight_decay"]: len(group["params"]) for group in groups}
    small = sum(value.dim() <= 1 for value in member.parameters()) + 1  # and the bias of the teacher's head
    assert sizes[0.0] == small and sizes[TINY.weight_decay] > 0
