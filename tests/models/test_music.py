"""The music detector on synthetic features: two clusters that differ in one direction."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genre.errors import CheckpointError
from genre.models.music import (
    MUSIC_FILE,
    MusicDetector,
    load_music_detector,
    save_music_detector,
)
from genre.training.detector import fit_music_detector

FEATURES = 32


def cloud(centre: float, seed: int, windows: int = 200) -> torch.Tensor:
    """Features of windows, shape (windows, features); the last feature has another scale and is constant."""
    features = torch.randn(windows, FEATURES, generator=torch.Generator().manual_seed(seed))
    features[:, :4] += centre
    features[:, -1] = 1000
    return features


@pytest.fixture(scope="module")
def detector() -> MusicDetector:
    return fit_music_detector(cloud(1.5, seed=0, windows=400), cloud(-1.5, seed=1, windows=100), "sparse")


def test_fitted_detector_separates_unseen_windows(detector):
    music, other = detector(cloud(1.5, seed=2)), detector(cloud(-1.5, seed=3))
    assert music.shape == (200,)
    assert (music > 0.5).float().mean() > 0.98
    assert (other < 0.5).float().mean() > 0.98


def test_both_classes_have_the_same_weight_whatever_their_sizes(detector):
    assert detector(torch.cat([cloud(0.0, seed=4)])).mean() == pytest.approx(0.5, abs=0.15)


def test_song_with_a_spoken_introduction_is_music(detector):
    song = torch.cat([cloud(-1.5, seed=5, windows=4), cloud(1.5, seed=6, windows=6)])
    assert detector.is_music(song)
    assert not detector.is_music(cloud(-1.5, seed=7, windows=10))


def test_threshold_is_honoured(detector):
    recording = cloud(1.5, seed=9, windows=5)
    probability = detector.recording(recording)
    assert replace(detector, threshold=probability).is_music(recording)
    assert not replace(detector, threshold=probability + 1e-6).is_music(recording)


def test_saved_detector_is_loaded_unchanged(detector, tmp_path: Path):
    saved = replace(detector, threshold=0.123456789)
    save_music_detector(saved, tmp_path)
    loaded = load_music_detector(tmp_path)
    assert (loaded.member, loaded.threshold) == ("sparse", 0.123456789)
    windows = cloud(1.0, seed=10)
    assert torch.equal(loaded(windows), saved(windows))
    assert (tmp_path / MUSIC_FILE).stat().st_size < 10_000


def test_folder_without_a_detector_has_none(tmp_path: Path):
    assert load_music_detector(tmp_path) is None


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_damaged_detector_is_reported(detector, tmp_path: Path, damage: bytes | None):
    save_music_detector(detector, tmp_path)
    file = tmp_path / MUSIC_FILE
    file.write_bytes(file.read_bytes()[:-8] if damage is None else damage)
    with pytest.raises(CheckpointError, match="damaged"):
        load_music_detector(tmp_path)
