import base64

import numpy as np
import pytest

import genre
from genre.errors import AudioError
from genre.features.log_mel import FRONT_ENDS
from genre.inference.classify import BUFFER_SECONDS, LiveClassifier
from genre.models.backbones import RANDOM, create_backbone
from genre.models.member import Member
from genre.models.model import GenreModel
from genre.web import live, texts, uploads
from tests.conftest import music, tone

RATE = 48000  # Hz, of most microphones


def pieces(sound, seconds=1.0):
    step = round(seconds * RATE)
    return [sound[at : at + step] for at in range(0, len(sound), step)]


def live_of(classifier, *sounds):
    """A live classifier that was given these sounds."""
    one = LiveClassifier(classifier, RATE)
    for sound in sounds:
        one.add(sound)
    return one


def test_the_first_prediction_is_made_when_the_buffer_fills_a_window(classifier):
    one, predictions = live_of(classifier), []
    for piece in pieces(music(5, RATE)):
        one.add(piece)
        predictions.append(one.predict())
    assert [one is not None for one in predictions] == [False, False, False, True, True]  # after the resampler's delay


def test_a_model_whose_window_is_longer_than_the_buffer_classifies_a_full_buffer():
    backbone = create_backbone("test_efficientnet", 2, RANDOM)
    members = {"whole": Member(backbone, FRONT_ENDS["whole"], -40.0, 20.0, (64, 64))}
    classifier = genre.Classifier(GenreModel(["Quiet", "Loud"], members))
    assert classifier.window_seconds > BUFFER_SECONDS
    prediction = live_of(classifier, music(BUFFER_SECONDS + 1, RATE)).predict()
    assert prediction.seconds == pytest.approx(BUFFER_SECONDS)


def test_only_the_last_seconds_are_classified_whatever_the_size_of_the_pieces(classifier):
    sound = np.concatenate([tone(20, rate=RATE), music(BUFFER_SECONDS + 1, RATE)])
    prediction = live_of(classifier, *pieces(sound, 0.37)).predict()
    assert prediction.seconds == pytest.approx(BUFFER_SECONDS)
    assert len(prediction.windows) == BUFFER_SECONDS / classifier.window_seconds
    alone = live_of(classifier, music(BUFFER_SECONDS + 1, RATE)).predict()
    assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-3)


def test_a_buffer_that_is_too_quiet_is_not_classified(classifier):
    one = live_of(classifier, 0.005 * music(6, RATE))
    assert one.too_quiet and one.predict() is None
    one.add(music(3, RATE))
    assert not one.too_quiet and one.predict()
    one.add(np.zeros(2 * RATE, np.float32))  # a pause after music
    assert one.too_quiet and one.predict()


@pytest.mark.parametrize("rate", [0, -1, 10**9])
def test_an_implausible_sample_rate_raises(classifier, rate):
    with pytest.raises(AudioError):
        LiveClassifier(classifier, rate)


def test_samples_are_decoded_from_16_bit_integers():
    sound = base64.b64encode(np.array([0, 16384, -32768], "<i2").tobytes()).decode()
    assert live.samples(sound).tolist() == [0, 0.5, -1]
    for garbled in ("!", base64.b64encode(b"odd").decode(), "é", "", None):
        with pytest.raises(AudioError, match=texts.LIVE_GARBLED):
            live.samples(garbled)


def test_only_files_in_the_upload_folder_are_accepted(tmp_path, monkeypatch):
    folder = tmp_path / "uploads"
    monkeypatch.setattr(uploads, "FOLDER", folder)
    inside = folder / "abc" / "live.wav"
    assert uploads.is_upload(str(inside))
    for path in (tmp_path / "private.wav", folder / ".." / "private.wav", "/etc/passwd"):
        assert not uploads.is_upload(str(path))
