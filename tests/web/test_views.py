import re

from genre.inference.classify import Prediction, Window
from genre.web import views
from genre.web.tabs import table
from genre.web.tabs.queue import Batch

LABELS = ["Folk", "Rock"]
FOLK = {"Folk": 0.9, "Rock": 0.1}
WINDOWS = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {}) for i in range(16)]
SONG = Prediction(FOLK, WINDOWS, 48.0, "made-up", notes=["Track 2 of 2 was used, the <default> one."])


def test_the_timeline_shows_silence_as_an_empty_column():
    html = views.timeline(SONG, LABELS, "", 11025, "")
    sound, silence = re.findall(r'<g class="window" data-window="(?:7|8)".*?</g>', html)
    assert 'data-genre="Folk"' in sound and sound.count("<rect") == 4
    assert 'data-genre=""' in silence and 'data-said="silence"' in silence and silence.count("<rect") == 1
    assert "<b>silence</b>" in html and "--colour:transparent" in html


def test_notes_on_the_file_are_on_the_card_and_in_the_list():
    batch = Batch("made-up")
    batch.add([("song.mp3", "song.mp3")])
    batch.songs[0].result = SONG
    for html in (views.verdict(SONG, LABELS, ""), table.rows(batch, LABELS)):
        assert "Track 2 of 2 was used, the &lt;default&gt; one." in html
        assert "0:24 to 0:48 silence" in html or "then silence" in html
    assert "notes" not in views.verdict(Prediction(FOLK, WINDOWS, 48.0, "made-up"), LABELS, "")
