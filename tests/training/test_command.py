"""train.py as a command."""

import json
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import genre
from genre.audio.audio import Audio
from genre.data.windows import FORMATS
from genre.models.model import SHIPPED, GenreModel
from genre.training.recipe import RECIPES, read_recipes
from tests.conftest import ROOT, music, write_audio
from tests.hub.test_publish import small_checkpoint
from train import only_training, written_at_end

SMALL = ["--from-scratch", "--backbone", "test_efficientnet", "--batch-size", "8"]


def run_train(folder, out, *arguments, cwd):
    """Run the command on one or more folders, without `--out` where `out` is None."""
    folders = map(str, folder if isinstance(folder, list) else [folder])
    output = [] if out is None else ["--out", str(out)]
    command = [sys.executable, str(ROOT / "train.py"), "--data", *folders, *output, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_trains_fuses_evaluates_and_saves(folder, tmp_path):
    out = tmp_path / "two"
    members = ["--members", "sparse", "smooth"]
    done = run_train(folder, out, *SMALL, *members, "--epochs", "4", "--test", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((out / "metrics.json").read_text())
    (figures,) = metrics["test"].values()
    assert figures["track"]["top1"] > 0.9
    assert metrics["training"]["sources"] == {folder.name: {"share": 1.0, "training": 64, "validation": 32, "test": 32}}
    assert str(tmp_path) not in (out / "metrics.json").read_text() + (out / "README.md").read_text()
    assert genre.load(out).labels == ["High", "Low"]
    runs = tmp_path / "runs" / "two"
    for picture in ("curves.png", "confusion.png"):
        assert Image.open(out / picture).width > 100 and (runs / picture).read_bytes() == (out / picture).read_bytes()
    recipes = read_recipes(runs / "recipes.json")
    assert recipes == read_recipes(out / "metrics.json") and recipes["smooth"].pretrained.epochs == 4

    evaluation = ["--evaluate", str(out), "--test", "--predictions", "predicted"]
    again = run_train(folder, None, *evaluation, cwd=tmp_path)
    printed = re.findall(r"^ +\S+ test .*$", done.stdout, re.MULTILINE)
    assert printed and printed == re.findall(r"^ +\S+ test .*$", again.stdout, re.MULTILINE)
    name = f"{folder.name}-test.csv"
    assert (tmp_path / "predicted" / name).read_bytes() == (tmp_path / "runs" / "two" / name).read_bytes()


def test_arrays_and_songs_train_together(folder, tmp_path):
    """One genre of the songs is renamed, the other is missing; every source is evaluated separately."""
    for number in range(3):
        path = tmp_path / "songs" / "Deep" / f"{number}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, [music(4 + number)], "flac")
    options = ["--members", "sparse", "--epochs", "1", "--augmented-copies", "1", "--counts-as", "Deep=Low"]
    done = run_train([folder, "songs"], "both", *SMALL, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "; no artist is in two splits:\n" in (tmp_path / "both" / "README.md").read_text()
    metrics = json.loads((tmp_path / "both" / "metrics.json").read_text())
    assert list(metrics["validation"]) == [folder.name, "songs"]
    assert metrics["training"]["sources"]["songs"] | {"share": 0} == dict(share=0, training=1, validation=1, test=1)
    shares, power = metrics["training"]["batch_shares"]["sparse"], RECIPES["sparse"].share_power
    assert shares[0] / shares[1] == pytest.approx(64**power, rel=1e-2)
    assert f"(sparse {shares[0]:.0%}, {shares[1]:.0%})" in (tmp_path / "both" / "README.md").read_text()
    augmented = next((tmp_path / "runs" / "archives").glob("songs-*/" + FORMATS["sparse"].augmented_file))
    assert np.load(augmented).any(axis=(1, 2, 3)).sum() == 1  # of the training song alone


def test_the_largest_source_need_not_have_all_splits(folder, tmp_path):
    table = folder / "index.csv"
    rest = shutil.copytree(folder, tmp_path / "rest")
    head, *rows = table.read_text().replace("test", "training").replace("validation", "training").split()
    same_artists = [f"{row},{folder.name}/{number}" for number, row in enumerate(rows)]
    (rest / "index.csv").write_text("\n".join([f"{head},artist", *same_artists]))
    options = [*SMALL, "--members", "sparse", "--epochs", "1", "--shares", "9", "1", "--test"]
    done = run_train([rest, folder], "both", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "both" / "README.md").read_text()
    assert f"Tracks of the test split of {folder.name}" in card
    assert "of the artists 64 are in two splits" in card
    assert genre.load(tmp_path / "both").labels == ["High", "Low"]

    (rest / "index.csv").write_text(table.read_text().replace("test", "training"))
    for one in (options[:-4], ["--evaluate", "both"]):
        done = run_train(rest, None, *one, "--test", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "train.py: --test: the data has no test tracks.\n")


def test_data_that_do_not_fit_and_a_folder_that_cannot_be_written_are_one_line(folder, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "songs").mkdir()
    write_audio(tmp_path / "songs" / "song.flac", [music(4)], "flac")
    for options, message in (
        (["--unlabelled", str(tmp_path / "songs"), *SMALL], "unless a teacher is given: --teacher FILE."),
        (["--evaluate", "fma-small"], "the data has High, Low"),
        (["--out", str(tmp_path / "file" / "out"), *SMALL], "cannot be written: Not a directory"),
    ):
        done = run_train(folder, None, *options, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1) and message in done.stderr


@pytest.fixture(scope="module")
def genre_folder(tmp_path_factory, fma_clips):
    """Real clips of two genres, cut into short files, as a private collection."""
    folder = tmp_path_factory.mktemp("collection")
    for name, tracks in (("Hip-Hop", (2, 5)), ("Experimental", (1069, 1075))):
        (folder / name).mkdir()
        for track in tracks:
            whole = Audio(fma_clips[track]).samples(22050)
            for number in range(5):
                cut = whole[number * 6 * 22050 : (number + 1) * 6 * 22050]
                write_audio(folder / name / f"{track}_{number}.flac", [cut], "flac", rate=22050)
    return folder


def test_training_on_a_folder_of_songs(genre_folder, tmp_path):
    out = tmp_path / "checkpoint"
    options = [*SMALL, "--epochs", "2", "--augmented-copies", "0", "--test", f"--archive={tmp_path}/archives"]
    done = run_train(genre_folder, out, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in (out / "metrics.json").read_text() + (out / "README.md").read_text()
    assert "16 training, 2 validation, 2 test" in done.stdout
    classifier = genre.load(out)
    assert classifier.labels == ["Experimental", "Hip-Hop"]
    assert list(classifier.model.members) == ["sparse", "smooth", "whole"]
    assert classifier.classify(genre_folder / "Hip-Hop" / "2_0.flac").windows


def test_fine_tuning_for_new_genres(genre_folder, tmp_path):
    out = tmp_path / "checkpoint"
    options = "--from fma-small --members sparse --epochs 2 --batch-size 8 --augmented-copies 1"
    done = run_train(genre_folder, out, *options.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "with a new head for 2 genres in place of 8" in done.stdout
    classifier = genre.load(out)
    paths = sorted(genre_folder.glob("*/*.flac"))
    right = [classifier.classify(path).genre == path.parent.name for path in paths]
    assert sum(right) >= 15, f"{sum(right)} of {len(right)}"


def test_a_resumed_command_ends_with_the_same_weights(folder, tmp_path):
    options = [*SMALL, "--members", "sparse", "--epochs", "3"]
    assert run_train(folder, "whole", *options, cwd=tmp_path).returncode == 0

    state = tmp_path / "runs" / "killed" / "sparse-pretrained-0.pt"
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


def test_training_with_two_processes(folder, tmp_path):
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", str(ROOT / "train.py")]
    options = [*SMALL, "--members", "sparse", "smooth", "--epochs", "2", "--runs", "2"]
    command = [sys.executable, *launch, "--data", str(folder), "--out", "two", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2") == 4  # two runs of two members: one of the processes prints
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert metrics["validation"][folder.name]["track"]["top1"] > 0.9


def test_options_that_cannot_be_are_found_before_songs_are_decoded(genre_folder, tmp_path):
    for options, message in (
        (["--members", "dense", "--backbone", "nosuchnet"], "timm has no model 'nosuchnet'"),
        (["--members", "dense", "--weights", "nofile.pt"], "cannot be opened"),
        (["--from", "fma-small", "--members", "dense"], "fma-small has no dense member"),
        (["--push", "bad name"], "not a valid repository name"),
        (["--members", "dense", "--tracker", "wandb"], "--tracker wandb needs a package"),
        (["--members", "none"], "There is no recipe for a member none"),
        (["--members", "dense", "--recipe", "none.json"], "none.json cannot be read"),
    ):
        done = run_train(genre_folder, tmp_path / "out", *options, cwd=tmp_path)
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert not list(tmp_path.rglob("*.npy")) and not (tmp_path / "out").exists()


def test_a_checkpoint_is_replaced_at_once_or_not_at_all(tmp_path):
    folder = shutil.copytree(SHIPPED / "fma-small", tmp_path / "mine")
    (folder / "notes.txt").write_text("mine")
    before = (folder / "config.json").read_bytes()
    with pytest.raises(KeyboardInterrupt), written_at_end(folder) as new:
        (new / "config.json").write_text("{}")
        raise KeyboardInterrupt
    assert (folder / "config.json").read_bytes() == before and GenreModel.from_pretrained(folder)
    with written_at_end(folder) as new:
        small_checkpoint(new, ["A", "B"], "dense")
    assert GenreModel.from_pretrained(folder).labels == ["A", "B"]
    assert {path.name for path in folder.iterdir()} >= {"dense", "config.json", "notes.txt"}
    assert not {"sparse", "whole", "music.safetensors"} & {path.name for path in folder.iterdir()}
    # nothing of the earlier model is lost
    assert GenreModel.from_pretrained(tmp_path / "mine-earlier").digest == GenreModel.from_pretrained().digest
    (folder / "config.json").write_text("{")  # a damaged one is replaced as well
    with written_at_end(folder) as new:
        small_checkpoint(new, ["C", "D"], "dense")
    assert GenreModel.from_pretrained(folder).labels == ["C", "D"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine-earlier", "mine-earlier-2"]


def test_a_second_training_keeps_the_model_of_the_first_and_is_refused_while_it_runs(folder, tmp_path):
    options = [*SMALL, "--members", "sparse", "--epochs", "1"]
    small_checkpoint(tmp_path / "mine", ["A", "B"])
    with only_training(tmp_path / "runs" / "mine"):
        refused = run_train(folder, "mine", *options, cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("train.py: Another training writes runs/mine; ")
    done = run_train(folder, "mine", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.startswith(f"{tmp_path}/mine holds a model; ")
        and f"is now in {tmp_path}/mine-earlier" in done.stdout
    )
    assert GenreModel.from_pretrained(tmp_path / "mine").labels == ["High", "Low"]
    assert GenreModel.from_pretrained(tmp_path / "mine-earlier").labels == ["A", "B"]


def test_a_probe_is_not_evaluated_on_its_own_songs_without_a_word(genre_folder, tmp_path):
    done = run_train(genre_folder, tmp_path / "probe", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = run_train(genre_folder, None, "--evaluate", str(tmp_path / "probe"), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"fitted to all songs of {genre_folder.name}: figures on these are too high" in again.stdout


def test_a_music_detector_is_fitted_with_a_training_or_afterwards(folder, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "noise" / "hiss").mkdir(parents=True)
    for number in range(6):
        noise = random.normal(0, 0.1, 4 * 44100).astype(np.float32)
        write_audio(tmp_path / "noise" / "hiss" / f"{number}.flac", [noise], "flac")
    (tmp_path / "noise" / "broken.mp3").write_text("milk, bread")
    options = [*SMALL, "--members", "sparse", "--epochs", "1", "--not-music", "noise"]
    done = run_train(folder, "mine", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "broken.mp3: This is not an audio file that can be read" in done.stdout
    with_it = genre.load(tmp_path / "mine").model.detector
    assert with_it.member == "sparse" and f"probability of {with_it.threshold:.4f}" in done.stdout

    shutil.copytree(tmp_path / "noise" / "hiss", tmp_path / "few", ignore=lambda *_: ["0.flac", "1.flac"])
    few = run_train(folder, "mine", "--mode", "detector", "--not-music", "few", cwd=tmp_path)
    assert few.returncode == 1 and "few holds 4 recordings without music; it needs 5" in few.stderr
    again = run_train(folder, "mine", "--mode", "detector", "--not-music", "noise/hiss", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert genre.load(tmp_path / "mine").model.detector.threshold == pytest.approx(with_it.threshold, abs=1e-4)
