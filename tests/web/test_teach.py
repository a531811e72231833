"""Teaching without a browser: what a visitor cannot see of others, and what is left of one who leaves."""

import os
import subprocess
import sys

import pytest

from genre.web import texts
from genre.web.models import TAUGHT_PREFIX, Models
from genre.web.page import build_page
from genre.web.teach import Lesson
from tests.conftest import ROOT, running_app
from tests.training.test_probe import NAMES, write_collection
from tests.visitor import Visitor, dropped

STRICT = {"GENRE_MAX_TEACHERS": "1", "GENRE_MAX_TAUGHT_SECONDS": "3"}


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


@pytest.mark.parametrize(("switch", "found"), [("on", "True"), ("off", "False")])
def test_the_tab_can_be_switched_off(switch, found):
    program = "from genre.web import page, models; print('learn_songs' in str(page.build_page(models.Models()).config))"
    environment = os.environ | {"GENRE_TEACH": switch}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == f"{found}\n", done.stderr
