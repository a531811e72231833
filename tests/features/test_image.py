import numpy as np
import pytest
import torch

from genre.features.clips import Clip, cut_clips
from genre.features.image import BANDS, MAX_COLUMNS, Spectrogram, mel_position
from tests.conftest import RATE, tone


def draw(sound):
    spectrogram = Spectrogram(RATE)
    for clip in cut_clips([sound], RATE, 3.0, 3.0):
        spectrogram.add(clip)
    return spectrogram


@pytest.mark.parametrize("hz", [440, 3520])
def test_a_tone_lies_where_the_axis_says(hz):
    spectrogram = draw(tone(5, hz))
    picture = np.asarray(spectrogram.picture().convert("L")).astype(float)
    row = picture[:, 20:-20].mean(axis=1).argmax()
    height = 1 - (row + 0.5) / len(picture)
    assert height == pytest.approx(mel_position(hz, spectrogram.highest_hz), abs=1.5 / BANDS)


def test_time_runs_evenly_over_clips():
    sound = np.concatenate([tone(40), np.zeros(40 * RATE, np.float32)])
    spectrogram = draw(sound)
    picture = np.asarray(spectrogram.picture().convert("L"))
    assert picture.shape[1] <= MAX_COLUMNS
    bright = picture.max(axis=0) > 128
    assert bright.mean() == pytest.approx(0.5, abs=0.01)
    assert bright[: int(len(bright) * 0.49)].all()


def test_a_very_short_clip_has_a_picture():
    spectrogram = Spectrogram(RATE)
    spectrogram.add(Clip(torch.from_numpy(tone(3)), 0.0, [0.0], 0.02))
    assert spectrogram.data_uri().startswith("data:image/webp;base64,")
