"""The music detector on synthetic features: two clusters that differ in one direction."""

import pytest
import torch

from genre.models.model import MusicDetector
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
    assert (music > 0).float().mean() > 0.98
    assert (other < 0).float().mean() > 0.98


def test_both_classes_have_the_same_weight_whatever_their_sizes(detector):
    assert detector(cloud(0.0, seed=4)).sigmoid().mean() == pytest.approx(0.5, abs=0.15)


def test_song_with_a_spoken_introduction_is_music(detector):
    song = torch.cat([cloud(-1.5, seed=5, windows=4), cloud(1.5, seed=6, windows=6)])
    assert detector.is_music(detector(song))
    assert not detector.is_music(detector(cloud(-1.5, seed=7, windows=10)))
