import base64

import gradio as gr
import numpy as np
import pytest

import genre
from genre.errors import AudioError
from genre.inference.live import FLOOR, HELD_SECONDS, TOO_QUIET, LiveClassifier, LiveResult, level
from genre.web import texts
from genre.web.tabs import live
from tests.conftest import music, tone

RATE = 48000  # of most microphones


def pieces(sound, seconds=1.0, rate=RATE):
    step = round(seconds * rate)
    return [sound[at : at + step] for at in range(0, len(sound), step)]


def test_the_verdict_comes_with_the_first_full_window(classifier):
    listener, verdicts = LiveClassifier(classifier, RATE), []
    for piece in pieces(music(5, RATE)):
        listener.add(piece)
        verdicts.append(listener.hear().prediction)
    assert [verdict is not None for verdict in verdicts] == [False, False, False, True, True]  # a filter's length late


def test_it_is_about_the_last_seconds_only(classifier):
    listener = LiveClassifier(classifier, RATE)
    for piece in pieces(np.concatenate([tone(20, rate=RATE), music(HELD_SECONDS + 1, RATE)])):
        listener.add(piece)
    heard = listener.hear()
    assert heard.seconds == pytest.approx(20 + HELD_SECONDS + 1)
    assert heard.prediction.seconds == pytest.approx(HELD_SECONDS)
    assert len(heard.prediction.windows) == HELD_SECONDS / classifier.window_seconds

    alone = LiveClassifier(classifier, RATE)
    alone.add(music(HELD_SECONDS + 1, RATE))
    expected = alone.hear().prediction
    assert heard.prediction.probabilities == pytest.approx(expected.probabilities, abs=1e-3)


def test_pieces_and_whole_are_the_same_sound(classifier):
    whole, cut = LiveClassifier(classifier, 44100), LiveClassifier(classifier, 44100)
    sound = music(6)
    whole.add(sound)
    for piece in pieces(sound, 0.37, 44100):
        cut.add(piece)
    assert whole.hear().prediction.probabilities == pytest.approx(cut.hear().prediction.probabilities, abs=1e-4)


def test_what_is_too_quiet_gets_no_verdict(classifier):
    listener = LiveClassifier(classifier, RATE)
    listener.add(0.005 * music(6, RATE))
    heard = listener.hear()
    assert heard.too_quiet
    assert heard.prediction is None
    listener.add(music(3, RATE))
    heard = listener.hear()
    assert not heard.too_quiet
    assert heard.prediction


def test_a_pause_is_too_quiet_and_keeps_the_verdict(classifier):
    listener = LiveClassifier(classifier, RATE)
    listener.add(music(6, RATE))
    listener.add(np.zeros(2 * RATE, np.float32))
    heard = listener.hear()
    assert heard.level == FLOOR
    assert heard.too_quiet
    assert heard.prediction


def test_levels_are_in_decibels_of_full_scale():
    assert level(np.ones(100, np.float32)) == pytest.approx(0)
    assert level(tone(1, level=0.1)) == pytest.approx(-23.01, abs=0.01)
    assert level(np.zeros(100, np.float32)) == level(np.zeros(0, np.float32)) == FLOOR


@pytest.mark.parametrize("rate", [0, -1, 10**9])
def test_no_microphone_has_such_a_rate(classifier, rate):
    with pytest.raises(AudioError):
        LiveClassifier(classifier, rate)


def test_samples_come_as_16_bits():
    sound = base64.b64encode(np.array([0, 16384, -32768], "<i2").tobytes()).decode()
    assert live.samples(sound).tolist() == [0, 0.5, -1]
    for garbled in ("!", base64.b64encode(b"odd").decode(), "é"):
        with pytest.raises(AudioError, match=texts.LIVE_GARBLED):
            live.samples(garbled)


def test_only_uploads_are_handed_over(tmp_path):
    folder = tmp_path / "uploads"
    inside = folder / "abc" / "live.wav"
    assert live.uploaded(str(inside), str(folder)) == str(inside)
    for path in (tmp_path / "private.wav", folder / ".." / "private.wav", "/etc/passwd"):
        with pytest.raises(gr.Error):
            live.uploaded(str(path), str(folder))


def test_the_card_says_why_there_is_no_verdict_yet():
    assert texts.LIVE_SOON in live.card(LiveResult(1.0, -20.0, None), [])
    assert texts.LIVE_QUIET in live.card(LiveResult(9.0, TOO_QUIET - 1, None), [])
    probabilities = {"Folk": 0.8, "Rock": 0.2}
    prediction = genre.Prediction(probabilities, [genre.Window(0.0, 3.0, probabilities)], 3.0, "x")
    card = live.card(LiveResult(3.0, -20.0, prediction), ["Folk", "Rock"])
    assert "Folk" in card
    assert 'role="status"' not in card
