"""Teaching without a browser: folders to genres, limits, who keeps what and sees what of others."""

import os
import re
import subprocess
import sys
import unicodedata

import pytest
import torch

from genre.errors import AudioError, DataError
from genre.models.model import DEFAULT
from genre.training.probe import Embedding
from genre.web import teach, texts, views
from genre.web.models import TAUGHT_PREFIX, Models
from genre.web.page import build_page
from genre.web.teach import Lesson, Lessons, learn, sort_files
from tests.conftest import ROOT, running_app
from tests.training.test_probe import NAMES, write_collection
from tests.visitor import Visitor, dropped

STRICT = {"GENRE_MAX_LESSONS": "1", "GENRE_MAX_TAUGHT_SECONDS": "3"}


def files(*names):
    return [(f"/cache/{number}", name) for number, name in enumerate(names)]


def sorted_by_folder(*names, genre=""):
    songs, message = sort_files(files(*names), genre)
    return [(song.genre, song.name) for song in songs], message


def lesson_of(**songs):
    lesson = Lesson()
    for genre, names in songs.items():
        lesson.add(files(*names), genre)
    return lesson


@pytest.mark.parametrize(
    ("names", "genre", "expected"),
    [
        (["a.mp3"], "Rock", [("Rock", "a.mp3")]),
        (["mine/Folk/a.mp3"], " Rock ", [("Rock", "a.mp3")]),
        (["mine/Rock/a.mp3", "mine/Jazz/CD 1/b.mp3"], "", [("Rock", "a.mp3"), ("Jazz", "b.mp3")]),
        (
            ["Rock/a.mp3", "Jazz/b.mp3", "Jazz/CD 2/c.mp3"],
            "",
            [("Rock", "a.mp3"), ("Jazz", "b.mp3"), ("Jazz", "c.mp3")],
        ),
    ],
)
def test_folders_name_genres_unless_one_is_typed(names, genre, expected):
    assert sorted_by_folder(*names, genre=genre) == (expected, "")


def test_songs_beside_the_sub_folders_are_left_out():
    assert sorted_by_folder("mine/Rock/a.mp3", "mine/b.mp3") == ([("Rock", "a.mp3")], texts.outside_of_folders(1))


def test_folders_for_training_and_test_are_no_genres():
    parts = ("train/Rock/a.mp3", "train/Jazz/b.mp3", "test/rock/c.mp3")
    expected = ([("Rock", "a.mp3"), ("Jazz", "b.mp3")], texts.left_for_test(1))
    assert sorted_by_folder(*parts) == sorted_by_folder(*(f"mine/{name}" for name in parts)) == expected


def test_a_genre_in_two_spellings_is_one():
    forms = [unicodedata.normalize(form, "Música") for form in ("NFC", "NFD")]
    lesson = Lesson()
    lesson.add(files(*(f"mine/{name}/a.mp3" for name in [*forms, "Rock", "rock"])), "")
    lesson.add(files("b.mp3"), "ROCK")
    assert lesson.genres == [forms[0], "Rock"]


@pytest.mark.parametrize(
    ("names", "genre", "message"),
    [
        (["a.mp3"], "", texts.NO_GENRE),
        (["Rock/a.mp3", "Rock/b.mp3"], "", texts.NO_SUB_FOLDERS),
        (["a.mp3"], "x" * 99, "too long a name"),
        (["mine/" + "x" * 99 + "/a.mp3"], "", "too long a name"),
    ],
)
def test_songs_without_a_genre_are_one_sentence(names, genre, message):
    with pytest.raises(DataError, match=re.escape(message)):
        sorted_by_folder(*names, genre=genre)
    lesson = Lesson()
    lesson.add(files(*names), genre)
    assert lesson.songs == [] and message in lesson.message and "alert" in teach.status(lesson)


def test_songs_and_genres_are_limited(monkeypatch):
    monkeypatch.setattr(teach, "MAX_TAUGHT_SONGS", 3)
    monkeypatch.setattr(teach, "MAX_TAUGHT_GENRES", 2)
    lesson = lesson_of(Rock=["a", "b"], Folk=["c", "d"])
    assert [song.name for song in lesson.songs] == ["a", "b", "c"]
    assert lesson.message == texts.TOO_MANY_TAUGHT.format(most=3)
    lesson.change(lesson.songs[0].number, None)
    lesson.add(files("e"), "Jazz")
    assert lesson.genres == ["Folk", "Rock"] and lesson.message == texts.TOO_MANY_GENRES.format(most=2)


def test_songs_are_moved_and_removed_by_what_a_browser_may_send():
    lesson = lesson_of(Rock=["a", "b"], Folk=["c"])
    first = lesson.songs[0]
    for number, genre in ((first.number, "Jazz"), (-1, "Folk"), ("0", "Folk"), (first.number, ["Folk"])):
        lesson.change(number, genre)
        assert first.genre == "Rock"
    lesson.change(first.number, "Folk")
    assert first.genre == "Folk"
    lesson.change(None, None)
    lesson.change(first.number, None)
    assert [song.name for song in lesson.songs] == ["b", "c"]


def test_one_job_learns_at_a_time_and_from_one_model():
    lesson = lesson_of(Rock=["a"], Folk=["b"])
    assert lesson.start("one", "1") and not lesson.start("one", "1")
    taken = []
    for song in lesson.take():
        song.embedding = Embedding({"smooth": torch.zeros(1, 4)}, song.name)
        taken.append(song.name)
        lesson.stopped = song.name == "a"
    assert taken == ["a"] and lesson.current is None
    lesson.working = False
    with pytest.raises(DataError, match="Your songs were read with one"):
        lesson.start("other", "1")
    assert lesson.start("one", "1") and next(lesson.take()).name == "b"


def test_songs_added_while_a_model_is_fitted_are_not_said_to_be_in_it():
    lesson = lesson_of(Rock=["a"], Folk=["b"])
    before, probe = lesson.songs, object()
    lesson.learned(probe, None, "taught:1", before)
    assert lesson.probe is probe
    lesson.add(files("c"), "Folk")
    lesson.learned(probe, None, "taught:2", before)
    assert lesson.probe is None and lesson.model == "taught:2"


def test_heads_are_not_put_on_other_networks_than_those_of_the_features():
    lesson = lesson_of(Rock=["a"], Folk=["b"])
    assert lesson.start(DEFAULT, "of the version before")
    with pytest.raises(DataError, match="The model was updated since your songs were read"):
        learn(lesson, Models())
    lesson.songs[0].embedding = Embedding({"smooth": torch.zeros(1, 4)}, "a")
    lesson.working = False
    with pytest.raises(DataError, match="The model was updated since your songs were read"):
        lesson.start(DEFAULT, "of this version")


def test_only_the_lessons_used_last_are_kept(monkeypatch):
    monkeypatch.setattr(teach, "MAX_LESSONS", 2)
    lessons, (one, two, three, four) = Lessons(), (lesson_of(Rock=["a"]) for _ in range(4))
    lessons.use(one)
    lessons.use(two)
    lessons.use(one)
    lessons.use(three)
    assert two.songs == [] and two.message == texts.FORGOTTEN
    assert one.songs and three.songs
    one.working = True  # a job is never interrupted
    lessons.use(four)
    assert one.songs and three.songs and four.songs
    one.working = False
    lessons.use(four)
    assert not one.songs and three.songs and four.songs


def test_names_and_genres_are_escaped():
    lesson = lesson_of(**{"<b>x</b>": ['"><i>.mp3']}, Folk=["c"])
    lesson.songs[1].error = AudioError("<u>")
    lesson.working, lesson.current = True, lesson.songs[0]
    page = teach.table(lesson) + teach.status(lesson) + views.alert_box("<u>")
    assert not re.search(r"<(b>x|i>|u>)", page)
    assert "&lt;b&gt;x&lt;/b&gt;</option>" in page and 'title="&quot;&gt;&lt;i&gt;.mp3"' in page


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("teach") / "mine")


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """The address of an app with room for one visitor's songs."""
    with running_app(ROOT, os.environ | STRICT, tmp_path_factory.mktemp("server")) as address:
        yield address


def drop_songs(visitor, collection):
    """Returns the last answer."""
    for name in NAMES:
        songs = [visitor.upload(path) for path in sorted((collection / name).glob("*.flac"))]
        answer = visitor.ask("add_1", name, None, event=dropped(*songs))
    return answer


@pytest.mark.slow
def test_a_later_visitor_takes_the_place_of_an_earlier_one(strict, collection, example):
    first, second = Visitor(strict), Visitor(strict)
    drop_songs(first, collection)
    answer = first.ask("learn_songs", None, None)
    assert "8 of 8 songs right" in answer
    start = answer.index(TAUGHT_PREFIX)
    name = answer[start : start + len(TAUGHT_PREFIX) + 32]
    song = first.upload(example)
    assert "Buzz" in first.ask("show", song, name, 0, None)

    drop_songs(second, collection)  # there is room for one
    assert texts.TAUGHT_MODEL_GONE in first.ask("show", song, name, 0, None)
    assert texts.FORGOTTEN in first.ask("learn_songs", None, None)
    assert "8 of 8 songs right" in second.ask("learn_songs", None, None)

    assert texts.FORGOTTEN in drop_songs(first, collection)
    assert "8 of 8 songs right" in first.ask("learn_songs", None, name)  # although its menu names a model that is gone


@pytest.mark.slow
def test_a_batch_outlives_the_model_that_was_taught(strict, collection, example):
    first, second = Visitor(strict), Visitor(strict)
    drop_songs(first, collection)
    answer = first.ask("learn_songs", None, None)
    name = answer[answer.index(TAUGHT_PREFIX) :][: len(TAUGHT_PREFIX) + 32]
    first.ask("add", None, name, event=dropped(first.upload(example)))
    assert "1 song classified" in first.ask("classify_songs", None)
    drop_songs(second, collection)

    first.ask("choose", None, event={"row": 0})
    assert "Nearest of 2 genres" in first.ask("open_chosen", None)
    added = first.ask("add", None, name, event=dropped(first.upload(example)))
    assert "error" not in added and "Waiting" in added
    assert texts.TAUGHT_MODEL_GONE in first.ask("classify_songs", None)
    again = first.ask("add", None, name, event=dropped(first.upload(example)))  # the song before waits no longer
    assert again.count(texts.WAITING) == 1


def test_nothing_is_left_of_a_visitor_who_leaves_half_way():
    """Gradio closes the generator of a job whose visitor has left."""
    page = build_page(Models())
    (learn,) = (one.fn for one in page.fns.values() if one.api_name == "learn_songs")
    lesson = Lesson()
    lesson.add([("/cache/0", "a.mp3"), ("/cache/1", "b.mp3")], "Rock")
    job = learn(lesson, None)
    next(job)
    assert lesson.working and lesson.current.name == "a.mp3"
    job.close()
    assert lesson.songs == [] and not lesson.working and lesson.current is None


@pytest.mark.slow
def test_the_tab_can_be_switched_off():
    program = "from genre.web import page, models; print('learn_songs' in str(page.build_page(models.Models()).config))"
    environment = os.environ | {"GENRE_TEACH": "off"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
