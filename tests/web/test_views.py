import re

import pytest

from genre.inference.prediction import Prediction, Window
from genre.models.checkpoint import load_checkpoint
from genre.web import texts, views
from genre.web.tabs import table
from genre.web.tabs.queue import Batch

LABELS = ["Folk", "Rock"]
FOLK = {"Folk": 0.9, "Rock": 0.1}
WINDOWS = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {}) for i in range(16)]
SONG = Prediction(FOLK, WINDOWS, 48.0, "made-up", notes=["Track 2 of 2 was used, the <default> one."])


def test_the_timeline_shows_silence_as_an_empty_column():
    html = views.timeline(SONG, LABELS, "", 11025, "")
    music, silence = re.findall(r'<g class="window" data-window="(?:7|8)".*?</g>', html)
    assert 'data-genre="Folk"' in music and music.count("<rect") == 4
    assert 'data-genre=""' in silence and 'data-summary="silence"' in silence and silence.count("<rect") == 1
    assert "<b>silence</b>" in html and "--colour:transparent" in html


def test_overlapping_windows_are_columns_side_by_side():
    """Separated in the middle of their overlap; the tooltip has the whole window."""
    windows = [Window(1.5 * i, 1.5 * i + 3, FOLK) for i in range(8)]
    html = views.timeline(Prediction(FOLK, windows, 13.5, "made-up"), LABELS, "", 11025, "")
    columns = re.findall(r'data-start="([\d.]+)" data-from="([\d.]+)".*?<title>(.*?): Folk.*?width="([\d.]+)"', html)
    starts, lefts, spans, widths = zip(*columns, strict=True)
    assert [float(start) for start in starts] == [window.start for window in windows]
    rights = [float(left) + float(width) for left, width in zip(lefts, widths, strict=True)]
    assert [0.0, *rights] == pytest.approx([*map(float, lefts), 13.5])
    assert spans[1] == "0:02 to 0:05"


def test_notes_are_on_the_card_and_in_the_table():
    batch = Batch("made-up")
    batch.add([("song.mp3", "song.mp3")])
    batch.labels, batch.songs[0].result = LABELS, SONG
    for html in (views.prediction_card(SONG, LABELS, ""), table.rows(batch)):
        assert "Track 2 of 2 was used, the &lt;default&gt; one." in html
        assert "0:24 to 0:48 silence" in html or "then silence" in html
    assert "notes" not in views.prediction_card(Prediction(FOLK, WINDOWS, 48.0, "made-up"), LABELS, "")


@pytest.mark.parametrize("more", [{}, {"confident": False, "prediction_set": LABELS}, {"is_music": False}])
@pytest.mark.parametrize("labels", [LABELS, [*LABELS, "Pop"]])
def test_the_card_names_the_number_of_genres_in_every_case(labels, more):
    probabilities = FOLK | dict.fromkeys(labels[2:], 0.0)
    prediction = Prediction(probabilities, [Window(0.0, 3.0, probabilities)], 3.0, "made-up", **more)
    small_print = re.search('<p class="coverage">(.*?)</p>', views.prediction_card(prediction, labels, "0:03."))[1]
    assert small_print == f"Nearest of {len(labels)} genres. 0:03."


def test_the_introduction_explains_the_closed_set_of_genres_in_three_sentences():
    labels = load_checkpoint().labels
    text = views.intro(labels)
    assert f"names the nearest of its {len(labels)} genres: {', '.join(labels[:-1])} and {labels[-1]}." in text
    assert "Music such as jazz, reggae or classical is none of them and gets the nearest one all the same." in text
    assert "Read the percentages as the model&#x27;s confidence." in text
    assert texts.intro(labels).count(". ") == 2


def test_what_the_result_cannot_know_takes_three_sentences():
    labels = load_checkpoint().labels
    text = texts.cannot_know(labels)
    assert f"outside its {len(labels)}: a jazz, reggae or classical recording" in text
    assert len(re.findall(r"\.(?: |$)", text)) == 3
    every = texts.cannot_know(["Bebop", "Swing"])
    assert "a recording of any other genre is named after the nearest" in every
    assert "Folk" not in views.intro(["<i>Folk</i>", "Rock"]).partition("<details>")[2]


def test_genres_of_a_visitor_are_not_said_to_exclude_any_music():
    every = texts.intro(["Bebop", "Swing"])
    assert "Music of any other genre gets the nearest one all the same." in every


def test_the_introduction_escapes_labels():
    assert "<i>" not in views.intro(["<i>Folk</i>", "Rock"])


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["mine"], "of mine."),
        (["mine", "x"], "of mine and 1 other collection."),
        (["mine", "x", "y"], "of mine and 2 other collections."),
    ],
)
def test_the_model_is_introduced_by_its_first_collection(sources, words):
    training = {"start": "ImageNet weights", "sources": {name: {} for name in sources}}
    assert words in texts.origin(training)
