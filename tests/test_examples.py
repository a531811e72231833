"""The examples of the page show what it can do."""

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("file", "label"), [("arpeggio.mp3", "Electronic"), ("boom_bap.mp3", "Hip-Hop"), ("guitar.mp3", "Folk")]
)
def test_a_song_has_one_genre(classifier, file, label):
    prediction = classifier.classify(ROOT / "examples" / file)
    assert (prediction.headline.kind, prediction.headline.text) == ("genre", label)
    assert [section.genre for section in prediction.sections] == [label]


def test_the_radio_changes_from_one_genre_to_another(classifier):
    prediction = classifier.classify(ROOT / "examples" / "radio.mp3")
    assert prediction.is_music and prediction.headline.kind == "shortlist"
    assert [section.genre for section in prediction.sections] == ["Folk", "Electronic"]
    assert not classifier.classify(ROOT / "examples" / "radio.mp3", seconds=6).is_music  # the announcer
