from itertools import pairwise

import pytest

from genre.inference.export.label_track import label_track
from genre.inference.prediction import Prediction, Window
from tests.conftest import RATE, music, write_audio

FOLK, ROCK = {"Folk": 0.9, "Rock": 0.1}, {"Rock": 0.8, "Folk": 0.2}


def parsed(text):
    """(start, end, label) of each line."""
    lines = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    return [(float(start), float(end), label) for start, end, label in lines]


def of_kind(labels, kind):
    return [one for one in labels if one[2].startswith(f"{kind}: ")]


def test_sections_and_windows_are_labels_of_their_own():
    windows = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {} if i < 16 else ROCK) for i in range(24)]
    labels = parsed(label_track(Prediction(FOLK, windows, 72.0, "made-up")))
    assert of_kind(labels, "Section") == [
        (0, 24, "Section: Folk"),
        (24, 48, "Section: silence"),
        (48, 72, "Section: Rock"),
    ]
    assert of_kind(labels, "Window")[7:9] == [(21, 24, "Window: Folk 90%"), (24, 27, "Window: silence")]
    assert len(labels) == 3 + 24


def test_a_genre_with_tabs_and_line_breaks_stays_one_label():
    window = Window(0.0, 3.0, {"Folk\t9\n1\t2": 1.0})
    text = label_track(Prediction(window.probabilities, [window], 3.0, "made-up"))
    assert parsed(text) == [(0, 3, "Section: Folk 9 1 2"), (0, 3, "Window: Folk 9 1 2 100%")]


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("seconds", [1.7, 10.4, 71.3])
def test_the_times_add_up_to_the_song(classifier, tmp_path, seconds, overlap):
    path = write_audio(tmp_path / "music.wav", [music(seconds)], "pcm_s16le", rate=RATE)
    labels = parsed(label_track(classifier.classify(path, overlap=overlap)))
    found, windows = of_kind(labels, "Section"), of_kind(labels, "Window")
    assert sum(end - start for start, end, _ in found) == pytest.approx(seconds, abs=1e-3)
    assert [one[1] for one in found[:-1]] == [one[0] for one in found[1:]]
    assert windows[0][0] == 0 and windows[-1][1] == pytest.approx(seconds, abs=0.3)
    assert all(following[0] <= one[1] for one, following in pairwise(windows))
