"""Linear probes: which songs can be used, how they are divided, what is fitted, how it is saved."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import genre
from genre.audio.audio import Audio
from genre.errors import AudioError, DataError
from genre.inference.classify import Classifier
from genre.models.model import GenreModel
from genre.training.probe import (
    FOLDS,
    Embedding,
    Song,
    assign_folds,
    check_songs,
    embed,
    embed_folder,
    fit_head,
    fit_probe,
    group_songs,
)
from tests.conftest import ROOT, music, tone, write_audio

NAMES = "Buzz", "Hiss"


def synthetic_song(kind: str, number: int, seconds: float = 7.0) -> np.ndarray:
    """A chord of pure tones with a beat, or noise with another one."""
    random = np.random.default_rng(number)
    beat = np.exp(-5 * (np.arange(round(seconds * 44100)) / 44100 % random.uniform(0.3, 0.6)))
    if kind == "Buzz":
        return (sum(tone(seconds, hz, level=0.2) for hz in random.uniform(150, 500, 3)) * beat).astype(np.float32)
    return (random.normal(scale=0.2, size=len(beat)) * beat).astype(np.float32)


def write_collection(folder, count=4, seconds=7.0):
    """Songs of two genres in sub-folders, each by an artist of its own."""
    for kind in NAMES:
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            write_audio(folder / kind / f"{number}.flac", [synthetic_song(kind, number, seconds)], "flac")
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("probe") / "mine")


def run_train(*arguments, cwd, env=None):
    command = [sys.executable, str(ROOT / "train.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)


def song(name, genre="Rock", artist="", digest=None, features=None):
    return Song(name, genre, artist, Embedding(features or {"smooth": torch.zeros(1, 4)}, digest or name))


def clusters(genres=3, songs=8, seed=0, spread=1.0):
    """Songs of separable genres with two windows of 16 features each."""
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(genres, 16, generator=generator)
    return [
        song(
            f"{g}-{i}",
            f"genre {g}",
            features={"sparse": centres[g] + spread * torch.randn(2, 16, generator=generator)},
        )
        for g in range(genres)
        for i in range(songs)
    ]


def one_member():
    """A model with one member, of windows of three seconds."""
    model = GenreModel.from_pretrained()
    return GenreModel(model.labels, {"sparse": model.members["smooth"]})


def test_a_head_separates_what_is_separable_and_ignores_the_scale_of_features():
    songs = clusters()
    labels = torch.arange(3).repeat_interleave(8)
    features = [one.embedding.features["sparse"] for one in songs]
    head = fit_head(features, labels, 3)
    assert [head(one).mean(0).argmax().item() for one in features] == labels.tolist()
    scale, shift = torch.logspace(-1, 2, 16), torch.linspace(-50, 50, 16)
    other = fit_head([one * scale + shift for one in features], labels, 3)
    for one in features:
        torch.testing.assert_close(other(one * scale + shift), head(one), atol=0.02, rtol=0.02)


def test_genres_have_the_same_weight_whatever_their_number_of_songs():
    few, many = torch.full((1, 1), -1.0), torch.full((1, 1), 1.0)
    head = fit_head([few] * 2 + [many] * 20, torch.tensor([0] * 2 + [1] * 20), 2)
    assert head(torch.zeros(1, 1)).exp()[0, 0].item() == pytest.approx(0.5, abs=0.01)


def test_a_label_without_songs_is_possible():
    head = fit_head([torch.randn(2, 4)] * 4, torch.tensor([0, 0, 2, 2]), 3)
    assert head(torch.zeros(1, 4)).isfinite().all()


def test_songs_of_a_group_share_a_fold_and_genres_are_spread():
    genres = ["Rock"] * 12 + ["Folk"] * 8
    groups = ["a", "a", "b", "b", *"cdefghij", *["k"] * 4, *"lmno"]
    folds = assign_folds(genres, groups)
    assert len(set(folds)) == FOLDS
    for group in set(groups):
        assert len({fold for fold, one in zip(folds, groups, strict=True) if one == group}) == 1
    for fold in set(folds):
        left = {genre for other, genre in zip(folds, genres, strict=True) if other != fold}
        assert left == {"Rock", "Folk"}
    assert folds == assign_folds(genres, groups)


@pytest.mark.parametrize(
    ("songs", "message"),
    [
        ([], "At least two genres are needed, and there is no song"),
        ([song("a"), song("b")], "At least two genres are needed, and all songs are Rock"),
        ([song("a"), song("b"), song("c", "Folk")], "One song is not enough: add songs to Folk"),
        (
            [song("a"), song("b"), song("c", "Folk"), song("d", "Folk", digest="a")],
            "a in Rock and d in Folk are the same recording. Leave each in one genre",
        ),
        ([song("a"), song("b", digest="a"), song("c", "Folk"), song("d", "Folk")], "add songs to Rock"),
    ],
)
def test_songs_that_cannot_be_learned_from_are_one_sentence(songs, message):
    with pytest.raises(DataError, match=message):
        check_songs(songs)


def test_a_copy_in_another_format_is_found_by_its_features():
    """Songs of one sound, whose windows differ by chance, are no copies of each other."""
    sound = torch.randn(64)
    windows = {name: sound + torch.randn(10, 64) for name in "abcd"}
    copy = windows["a"] + 0.3 * torch.randn(10, 64)
    songs = [
        *(song(name, "Rock" if name < "c" else "Folk", features={"smooth": windows[name]}) for name in "abcd"),
        song("a.opus", features={"smooth": copy[:9]}),
    ]
    assert check_songs(songs) == (songs[:4], ["a.opus is the same recording as a and was left out."])
    songs[4] = song("a.opus", "Folk", features={"smooth": copy})
    with pytest.raises(DataError, match=r"a in Rock and a\.opus in Folk are the same recording"):
        check_songs(songs)


def test_a_copy_that_one_network_hears_otherwise_is_found_by_the_others():
    """As of a low bit rate."""
    torch.manual_seed(0)
    windows = {name: torch.randn(10, 64) for name in "abcd"}
    heard = {name: {"sparse": one, "smooth": one, "whole": torch.randn(1, 64)} for name, one in windows.items()}
    copy = {**heard["a"], "sparse": windows["a"] + 1.5 * torch.randn(10, 64)}
    songs = [song(name, "Rock" if name < "c" else "Folk", features=one) for name, one in heard.items()]
    assert check_songs([*songs, song("a.wma", features=copy)])[1] == [
        "a.wma is the same recording as a and was left out."
    ]


def test_groups_are_artists_files_without_one_and_files_of_a_genre_by_one_artist():
    songs = [
        song("a", artist="x"), song("b", artist="x"), song("c", artist="y"),
        song("d", "Folk", "z"), song("e", "Folk", "z"), song("f", "Pop"), song("g", "Pop"),
    ]  # fmt: skip
    groups, caveats = group_songs(songs)
    assert groups == ["x", "x", "y", "d", "e", "f", "g"]
    assert caveats[0].startswith("All songs of Folk are by one artist") and caveats[1].startswith("2 songs name no")


def test_a_probe_is_right_where_genres_differ_and_at_chance_where_they_do_not():
    clear = fit_probe(clusters(), one_member())
    assert clear.figures["track"]["top1"] == 1.0 and clear.contradicted() == []
    assert clear.probabilities.sum(1).tolist() == pytest.approx([1] * 24)
    assert clear.probabilities.amax(1).max() < 1  # although all are right
    same = [replace(one, genre=f"genre {number % 2}") for number, one in enumerate(clusters(1, 40))]
    chance = fit_probe(same, one_member())
    assert 0.2 < chance.figures["track"]["top1"] < 0.8
    low, high = chance.figures["track"]["top1_interval_95"]
    assert low < 0.5 < high


def test_a_song_in_the_wrong_genre_is_the_first_that_the_others_contradict():
    songs = clusters()
    songs[0] = replace(songs[0], genre="genre 2")
    wrong, predicted, p = fit_probe(songs, one_member()).contradicted()[0]
    assert (wrong.name, predicted) == ("0-0", "genre 0") and p < 0.3


def test_the_order_of_songs_does_not_matter():
    songs = clusters(spread=8.0)
    one, other = fit_probe(songs, one_member()), fit_probe(songs[::-1], one_member())
    assert torch.equal(one.probabilities, other.probabilities)
    assert torch.equal(one.heads["sparse"].weight, other.heads["sparse"].weight)


def test_features_are_those_that_are_classified(classifier, example):
    embedding = embed(classifier, example)
    assert {name: len(one) for name, one in embedding.features.items()} == {"sparse": 5, "smooth": 5, "whole": 1}
    members = classifier.model.members
    log_probabilities = {name: members[name].head(one).log_softmax(-1) for name, one in embedding.features.items()}
    expected = classifier.classify(example).probabilities
    probabilities = classifier.model.track_probabilities(log_probabilities)
    assert dict(zip(classifier.labels, probabilities.tolist(), strict=True)) == pytest.approx(expected, abs=1e-5)


def test_silent_windows_are_left_out_and_tags_do_not_change_the_digest(classifier, tmp_path):
    whole = write_audio(
        tmp_path / "whole.wav", [np.concatenate([music(6), np.zeros(6 * 44100, np.float32)])], "pcm_s16le"
    )
    embedding = embed(classifier, whole)
    assert len(embedding.features["smooth"]) == 2
    copy = write_audio(tmp_path / "copy.flac", [Audio(whole).samples(44100)], "flac")
    assert embed(classifier, copy).digest == embedding.digest != embed(classifier, whole, seconds=3).digest
    silent = write_audio(tmp_path / "silent.wav", [np.zeros(5 * 44100, np.float32)], "pcm_s16le")
    with pytest.raises(AudioError, match="silent"):
        embed(classifier, silent)


def test_real_songs_are_told_apart_by_artists_held_out(outside, classifier):
    """Classical and Rock, of which chance would be half."""
    paths = [path for name in ("Classical", "Rock") for path in sorted((outside / name).glob("*.opus"))[:12]]
    songs = [
        Song(path.name, path.parent.name, Audio(path).tags.artist, embed(classifier, path, seconds=30))
        for path in paths
    ]
    assert len({one.artist for one in songs}) < len(songs)
    probe = fit_probe(songs, classifier.model)
    assert probe.figures["track"]["top1_interval_95"][0] > 0.5 and probe.caveats == []


def test_the_command_writes_a_checkpoint_that_loads_and_can_be_published(collection, tmp_path):
    shutil.copytree(collection, tmp_path / "mine")
    (tmp_path / "mine" / "Hiss" / "broken.mp3").write_text("milk, bread")
    (tmp_path / "mine" / "Drone").mkdir()
    (tmp_path / "mine" / "Buzz" / "0.flac").rename(tmp_path / "mine" / "Drone" / "0.flac")
    done = run_train("--data", "mine", "--counts-as", "Drone=Buzz", "--out", "probe", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Linear probe on fma-small" in done.stdout and "8 of 8 songs right" in done.stdout
    assert "Hiss/broken.mp3: This is not an audio file that can be read" in done.stderr + done.stdout
    metrics = json.loads((tmp_path / "probe" / "metrics.json").read_text())
    assert metrics["training"]["probe"]["songs"] == {"Buzz": 4, "Hiss": 4}
    assert metrics["validation"]["mine"]["track"]["top1"] == 1.0
    assert str(tmp_path) not in (tmp_path / "probe" / "metrics.json").read_text()

    probe = genre.load(tmp_path / "probe")
    assert probe.labels == list(NAMES) and probe.model.detector is not None
    assert "A linear probe" in probe.model.card
    for kind in NAMES:
        new = write_audio(tmp_path / "new.flac", [synthetic_song(kind, 99)], "flac")
        assert probe.classify(new).genre == kind

    pushed = run_train("--out", "probe", "--push", "user/probe", "--dry-run", cwd=tmp_path)
    assert pushed.returncode == 0 and "confusion.png" in pushed.stdout


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--data", "one"], 1, "At least two genres are needed, and all songs are Hiss"),
        (["--data", "nowhere"], 1, "There is no folder nowhere"),
    ],
)
def test_bad_folders_are_one_line(collection, tmp_path, options, status, message):
    shutil.copytree(collection / "Hiss", tmp_path / "one" / "Hiss")
    done = run_train(*options, "--out", "out", cwd=tmp_path)
    assert done.returncode == status and message in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


def test_markup_in_the_name_of_a_genre_is_plain_text_in_the_card(collection, tmp_path):
    (tmp_path / "mine").mkdir()
    shutil.copytree(collection / "Buzz", tmp_path / "mine" / "<img src=x>|_a_")
    shutil.copytree(collection / "Hiss", tmp_path / "mine" / "Hiss")
    done = run_train("--data", "mine", "--from", "fma-small", "--mode", "probe", "--out", "probe", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert isinstance(genre.load(tmp_path / "probe"), Classifier)
    assert r"| \<img src=x\>\|\_a\_ | 4 |" in (tmp_path / "probe" / "README.md").read_text()


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode on this system")
def test_names_that_are_not_utf_8_are_printed(tmp_path):
    collection = write_collection(tmp_path / os.fsdecode(b"m\xfcsik"), count=3)
    folder = os.fsdecode(os.fsencode(collection) + b"/Gr\xf6l")
    (collection / "Hiss").rename(folder)
    copy = os.fsdecode(b"caf\xe9.flac")
    shutil.copy(f"{folder}/0.flac", f"{folder}/{copy}")
    Path(folder, os.fsdecode(b"kap\xf6tt.mp3")).write_bytes(b"no music")
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = run_train("--data", collection, "--out", "out", cwd=tmp_path, env=strict)
    assert done.returncode == 0, done.stderr
    assert "Gr\ufffdl/kap\ufffdtt.mp3: This is not an audio file" in done.stdout
    assert "caf\ufffd.flac is the same file as" in done.stdout
    assert genre.load(tmp_path / "out").labels == ["Buzz", "Gr l"]
    assert "m\ufffdsik" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*.*")]
    assert len(set(modes)) == 1 and not list((tmp_path / "out").rglob("*.tmp"))  # weights as readable as the others


def test_a_genre_whose_songs_cannot_be_decoded_raises(tmp_path):
    collection = write_collection(tmp_path / "mine", count=2)
    (collection / "Folk").mkdir()
    (collection / "Folk" / "one.mp3").write_bytes(b"no music")
    with pytest.raises(DataError, match="None of the songs of Folk can be decoded"):
        embed_folder(collection, Classifier(GenreModel.from_pretrained()))
