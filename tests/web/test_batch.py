import re

import pytest

from genre.errors import AudioError
from genre.inference.prediction import Prediction, Window
from genre.web import batch as table
from genre.web import views
from genre.web.batch import Batch
from genre.web.limits import MAX_SONGS

LABELS = ["Folk", "<i>Rock</i>"]


def prediction(folk=0.9, **more):
    both = {"Folk": folk, "<i>Rock</i>": 1 - folk}
    probabilities = dict(sorted(both.items(), key=lambda pair: -pair[1]))
    return Prediction(probabilities, [Window(0.0, 3.0, probabilities)], 3.0, "made-up", **more)


def batch_of(*names):
    batch = Batch("model")
    batch.add([(f"/cache/{name}", name) for name in names])
    return batch


def test_a_full_list_shows_a_message():
    batch = batch_of(*(f"{i}.mp3" for i in range(MAX_SONGS)))
    assert not batch.too_many
    batch.add([("/cache/x", "one more.mp3")])
    assert len(batch.songs) == MAX_SONGS and batch.too_many
    for song in batch.songs:
        song.result = prediction()
    assert f"The list holds {MAX_SONGS} songs at most" in table.status(batch)


def test_songs_are_taken_in_order_and_by_one_job_only():
    batch = batch_of("a.mp3", "b.mp3")
    taken = batch.take()
    first = next(taken)
    assert first.name == "a.mp3" and batch.current is first
    assert list(batch.take()) == []
    first.result = prediction()
    batch.add([("/cache/c.mp3", "c.mp3")])
    for song in taken:
        song.result = AudioError("This file is empty.")
    assert [song.name for song in batch.done] == ["a.mp3", "b.mp3", "c.mp3"]
    assert not batch.working
    assert batch.current is None


def test_the_next_job_continues_after_a_cancelled_one():
    batch = batch_of("a.mp3", "b.mp3")
    taken = batch.take()
    next(taken)
    taken.close()
    assert next(batch.take()).name == "a.mp3"


def test_a_stop_leaves_the_results_in_the_list():
    batch = batch_of("a.mp3", "b.mp3", "c.mp3")
    taken = batch.take()
    next(taken).result = prediction()
    second = next(taken)
    batch.stop()
    assert not batch.wants(second, "model")
    assert list(taken) == []
    assert [song.name for song in batch.songs] == ["a.mp3"]
    assert "1 song classified." in table.status(batch) and "Stopped: 2 songs not classified." in table.status(batch)


def test_another_model_classifies_all_songs_again():
    batch = batch_of("a.mp3")
    song = batch.opened = next(batch.take())
    song.result = prediction()
    batch.start_over("other")
    assert song.result is None and batch.working and batch.opened is None
    assert not batch.wants(song, "model") and batch.wants(song, "other")
    batch.finish(song, "model", prediction(), None)  # of the job that was drawing its picture
    assert song.result is None
    batch.finish(song, "other", prediction(), None)
    assert song.result and not batch.working


@pytest.mark.parametrize("row", [-1, 2, 1, "0", None, 0.0])
def test_only_rows_with_a_result_open(row):
    batch = batch_of("a.mp3", "b.mp3")
    batch.songs[0].result = prediction()
    assert batch.at(0) is batch.songs[0]
    assert batch.at(row) is None


def test_rows_show_their_state_and_escape_everything():
    batch = batch_of("<b>x.mp3", 'a"onclick="x.mp3', "<i>c.mp3", "d.mp3")
    batch.labels, batch.songs[0].result = LABELS, prediction(0.1)
    batch.songs[1].result = AudioError("<u>broken</u>")
    batch.current = batch.songs[2]
    page = table.rows(batch) + table.status(batch) + table.opened(batch.songs[0], LABELS) + views.alert_box("<u>")
    assert not re.search(r"<(b>x|i>c|i>Rock|u>)", page)
    assert 'a"onclick' not in page
    assert "&lt;i&gt;Rock&lt;/i&gt;" in page and "&lt;u&gt;broken&lt;/u&gt;" in page
    assert re.findall('<tr class="([a-z]+)">', page) == ["classified", "failed", "current", "waiting"]
