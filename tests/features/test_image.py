import numpy as np
import pytest

from genre.audio.audio import Clip, cut_clips
from genre.features.image import BANDS, MAX_COLUMNS, Spectrogram, data_uri, mel_position
from tests.conftest import RATE, tone


def draw(sound):
    spectrogram = Spectrogram(RATE)
    for clip in cut_clips([sound], RATE, 3.0, 3.0):
        spectrogram.add(clip)
    return spectrogram


@pytest.mark.parametrize("hz", [440, 3520])
def test_a_tone_is_at_its_position_on_the_axis(hz):
    spectrogram = draw(tone(5, hz))
    image = np.asarray(spectrogram.image().convert("L")).astype(float)
    row = image[:, 20:-20].mean(axis=1).argmax()
    height = 1 - (row + 0.5) / len(image)
    assert height == pytest.approx(mel_position(hz, spectrogram.highest_hz), abs=1.5 / BANDS)


def test_the_time_axis_is_uniform_over_clips():
    sound = np.concatenate([tone(40), np.zeros(40 * RATE, np.float32)])
    spectrogram = draw(sound)
    image = np.asarray(spectrogram.image().convert("L"))
    assert image.shape[1] <= MAX_COLUMNS
    bright = image.max(axis=0) > 128
    assert bright.mean() == pytest.approx(0.5, abs=0.01)
    assert bright[: int(len(bright) * 0.49)].all()


def test_a_very_short_clip_has_an_image():
    spectrogram = Spectrogram(RATE)
    spectrogram.add(Clip(tone(3), 0.0, [0.0], 0.02))
    assert data_uri(spectrogram.image()).startswith("data:image/webp;base64,")
