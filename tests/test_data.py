import csv

import numpy as np
import pytest
import torch

from genre.data import FORMATS, Windows, read_index
from genre.errors import DataError


def write_index(folder, rows):
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "has_mel", "note"])
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path):
    """Six tracks whose every cell is the row's number."""
    rows = [
        [10, "Rock", "training", "True", ""],
        [11, "Folk", "training", "True", ""],
        [12, "Rock", "training", "True", ""],
        [13, "Folk", "validation", "True", ""],
        [14, "Rock", "test", "True", ""],
        [15, "Rock", "training", "True", ""],
    ]
    write_index(tmp_path, rows)
    np.save(tmp_path / "logmel_30s.npy", np.full((6, 128, 128), np.arange(6)[:, None, None], np.uint8))
    return tmp_path


def test_unusable_and_contradicting_rows_are_left_out(tmp_path):
    write_index(
        tmp_path,
        [
            [1, "Rock", "training", "True", ""],
            [2, "Rock", "training", "True", "near-silent clip"],
            [3, "Folk", "training", "True", "mel image is blank (silent)"],
            [4, "Folk", "training", "True", "clip is 1.6 s long"],
            [5, "Folk", "training", "True", "same audio as 6"],
            [6, "Rock", "training", "True", "same audio as 5"],
            [7, "Rock", "training", "True", "same audio as 1"],
            [8, "Folk", "test", "False", ""],
            [9, "Folk", "test", "True", ""],
        ],
    )
    index = read_index(tmp_path)
    assert index.dropped == ["2", "3", "4", "5", "6", "8"]
    assert index.rows.tolist() == [0, 6, 8]
    assert [index.genres[i] for i in index.labels] == ["Rock", "Rock", "Folk"]


def test_the_official_split_is_honoured(fma_arrays):
    index = read_index(fma_arrays)
    assert [len(index.of(split)) for split in ("training", "validation", "test")] == [6390, 800, 800]
    assert set(index.dropped) == {"57371", "72149", "72059", "98565", "98567", "98569", "107535"}
    assert (np.bincount(index.labels[index.of("test")]) == 100).all()


def test_windows_of_a_split_come_with_their_labels(folder):
    index = read_index(folder)
    windows = Windows(index, "training", "sparse")
    assert len(windows) == 4
    assert [index.genres[i] for i in windows.labels] == ["Rock", "Folk", "Rock", "Rock"]
    every = windows.all(np.array([3, 0]))
    assert every.shape == (2, 10, 128, 13)
    assert every[0].unique().item() == pytest.approx(-80 + (5 + 0.5) * 0.625)
    assert every[1].unique().item() == pytest.approx(-80 + 0.5 * 0.625)
    assert windows.teacher is None


def test_random_windows_reach_the_whole_track(folder):
    array = np.load(folder / "logmel_30s.npy")
    array[:] = np.arange(128)[None, None]
    np.save(folder / "logmel_30s.npy", array)
    windows = Windows(read_index(folder), "training", "sparse")
    drawn = windows.random(np.zeros(2000, int), np.random.default_rng(0))
    columns = ((drawn[:, 0] + 80) / 0.625 - 0.5).round().int()
    assert columns.min() == 0 and columns.max() == 127
    assert (columns.diff(dim=1) == 1).all()


def test_the_teacher_is_standardised_over_training(folder):
    np.save(folder / "vggish.npy", np.arange(6, dtype=np.float16)[:, None].repeat(128, 1))
    teacher = Windows(read_index(folder), "training", "sparse").teacher
    assert teacher.mean().item() == pytest.approx(0, abs=1e-5)
    assert teacher[:, 0].std(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_features_survive_storage():
    values = torch.linspace(-80, -0.001, 128 * 128).reshape(128, 128)
    kept = FORMATS["sparse"]
    assert (kept.restore(kept.store(values)) - values).abs().max() <= 0.3126
    cepstra = torch.linspace(-800, 300, 20 * 130).reshape(20, 130)
    kept = FORMATS["smooth"]
    assert (kept.restore(kept.store(cepstra)) - cepstra).abs().max() <= 0.1251


def test_missing_data_is_said(tmp_path, folder):
    with pytest.raises(DataError, match=r"no index\.csv"):
        read_index(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no mfcc_first3s\.npy"):
        Windows(read_index(folder), "training", "smooth")
