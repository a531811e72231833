import io
import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from genre import cli
from genre.inference.export import csv_writer, to_row
from genre.inference.prediction import Prediction, Window
from genre.web import batch as table
from genre.web import song, texts, views
from genre.web.batch import Batch
from genre.web.models import Models
from genre.web.page import build_page

LABELS = ["Folk", "Rock"]
FOLK = {"Folk": 0.9, "Rock": 0.1}
WINDOWS = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {}) for i in range(16)]
SONG = Prediction(FOLK, WINDOWS, 48.0, "made-up", notes=("Track 2 of 2 was used, the <default> one.",))


def test_the_timeline_shows_silence_as_an_empty_column():
    html = views.timeline(SONG, LABELS, "", 11025, "")
    music, silence = re.findall(r'<g class="window" data-window="(?:7|8)".*?</g>', html)
    assert 'data-genre="Folk"' in music and music.count("<rect") == 4
    assert 'data-genre=""' in silence and 'data-summary="silence"' in silence and silence.count("<rect") == 1
    assert "<b>silence</b>" in html and "--colour:transparent" in html


def test_notes_are_on_the_card_and_in_the_table():
    batch = Batch("made-up")
    batch.add([("song.mp3", "song.mp3")])
    batch.labels, batch.songs[0].result = LABELS, SONG
    for html in (views.prediction_card(SONG, LABELS, ""), table.rows(batch)):
        assert "Track 2 of 2 was used, the &lt;default&gt; one." in html
        assert "0:24 to 0:48 silence" in html or "then silence" in html
    assert "notes" not in views.prediction_card(Prediction(FOLK, WINDOWS, 48.0, "made-up"), LABELS, "")


@pytest.mark.parametrize(
    ("more", "kind", "text"),
    [
        ({}, "genre", "Folk"),
        ({"confident": False, "prediction_set": ("Folk", "Rock")}, "shortlist", "Folk or Rock"),
        ({"is_music": False}, "not music", "Probably not music"),
    ],
)
def test_page_command_and_files_say_the_same(capsys, more, kind, text):
    prediction = Prediction(FOLK, (Window(0.0, 3.0, FOLK),), 3.0, "made-up", **more)
    batch, rows = Batch("made-up"), io.StringIO()
    batch.add([("song.mp3", "song.mp3")])
    batch.labels, batch.songs[0].result = LABELS, prediction
    card = views.prediction_card(prediction, LABELS, "")
    assert texts.LEADS[kind] in card and f'<h2 class="genre">{text}</h2>' in card
    assert f"<span>{text}</span>" in table.rows(batch)
    cli._print_line(Path("song.mp3"), prediction)
    assert capsys.readouterr().out == f"song.mp3: {text} (Folk 90%, Rock 10%)\n"
    csv_writer(rows, LABELS)("song.mp3", prediction)
    assert rows.getvalue().splitlines()[1].startswith(f"song.mp3,{text},Folk,")
    headline = to_row("song.mp3", prediction)["headline"]
    assert (headline["kind"], headline["text"]) == (kind, text)


@pytest.mark.parametrize(
    ("labels", "outside"),
    [
        (LABELS, "Music such as jazz, reggae or classical is none of them"),
        (["Jazz", "Swing"], "Music of any other genre"),
    ],
)
def test_the_page_says_which_music_has_no_genre_of_its_own(labels, outside):
    assert outside in views.intro(labels)


def test_labels_are_escaped_wherever_they_are_shown():
    label = '<img src=x onerror="alert(1)">'
    probabilities = {label: 0.55, "B&B": 0.45}
    prediction = Prediction(probabilities, [Window(0.0, 3.0, probabilities)], 3.0, "x")
    page = views.prediction_card(prediction, list(probabilities), "") + views.intro(list(probabilities), label)
    page += views.timeline(prediction, list(probabilities), "data:", 11025, '"><script>')
    assert "<img src=x" not in page and "<script>" not in page
    assert "B&amp;B" in page
    assert "<b>bold</b>" not in views.error("<b>bold</b>")


def test_what_comes_too_late_changes_nothing(monkeypatch):
    """A last output must be none of the song before, since Gradio sends it again at the end."""
    result = song.Result(False, SONG, None, "card", "timeline")
    monkeypatch.setattr(song, "explain", lambda *_, **__: None)
    monkeypatch.setattr(song, "stream_results", lambda *_: iter([result] * 2))
    page = build_page(models := Models())
    named = {one.api_name: one.fn for one in page.fns.values()}
    click, asked = SimpleNamespace(genre="Rock", start=0.0), ["a.mp3", models.first, 0.0]
    latest = list(asked)
    shows, explains = named["show"](*asked, latest, None), named["why"](*asked, latest, click)
    assert views.CLASSIFYING in next(shows).values() and "card" in next(shows).values()
    assert next(explains) == views.EXPLAINING
    latest[0] = "b.mp3"
    assert list(shows) == list(explains) == [gr.skip()]
    assert list(named["show"](*asked, latest, None)) == list(named["why"](*asked, latest, click)) == [gr.skip()]


@pytest.mark.parametrize(
    ("headers", "address"),
    [({"referer": "https://example.org/genre/?model=user/repo#top"}, "https://example.org/genre"), ({}, "")],
)
def test_the_address_of_the_page_is_the_one_that_the_browser_has(headers, address):
    assert song.page_address(SimpleNamespace(headers=headers)) == address
