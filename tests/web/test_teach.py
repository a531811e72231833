"""Teaching without a browser: what a visitor cannot see of others, and what is left of one who leaves."""

import os
import subprocess
import sys
import time

import pytest

from genre.web import texts as page_texts
from genre.web.models import TAUGHT_PREFIX
from genre.web.teach import texts
from tests.conftest import ROOT, running_app
from tests.training.test_probe import NAMES, write_collection
from tests.visitor import Visitor

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
    for name in NAMES:
        songs = [visitor.upload(path) for path in sorted((collection / name).glob("*.flac"))]
        visitor.ask("add_1", songs, name, None)


def test_a_later_visitor_takes_the_place_of_an_earlier_one(strict, collection, example):
    first, second = Visitor(strict), Visitor(strict)
    drop_songs(first, collection)
    answer = first.ask("learn_songs", None, None)
    assert "8 of 8 songs right" in answer
    start = answer.index(TAUGHT_PREFIX)
    name = answer[start : start + len(TAUGHT_PREFIX) + 32]
    song = first.upload(example)
    assert "Buzz" in first.ask("show", song, name)

    drop_songs(second, collection)  # there is room for one
    assert page_texts.TAUGHT_MODEL_GONE in first.ask("show", song, name)
    assert texts.FORGOTTEN in first.ask("learn_songs", None, None)
    assert "8 of 8 songs right" in second.ask("learn_songs", None, None)


def test_nothing_is_left_of_a_visitor_who_leaves_half_way(strict, collection):
    visitor = Visitor(strict)
    drop_songs(visitor, collection)
    request = {"fn_index": visitor.functions["learn_songs"], "data": [None, None], "session_hash": visitor.session}
    visitor.http.post("/queue/join", json=request).raise_for_status()
    with visitor.http.stream("GET", "/queue/data", params={"session_hash": visitor.session}) as events:
        for line in events.iter_lines():
            if "Reading" in line:
                break
    answer, deadline = "", time.monotonic() + 120
    while texts.NO_SONGS not in answer and time.monotonic() < deadline:  # until the job ends
        answer = visitor.ask("learn_songs", None, None)
        assert "songs right" not in answer
    assert texts.NO_SONGS in answer


@pytest.mark.parametrize(("switch", "found"), [("on", "True"), ("off", "False")])
def test_the_tab_can_be_switched_off(switch, found):
    program = "import app, genre.web.models as m; print('learn_songs' in str(app.build_page(m.Models()).config))"
    environment = os.environ | {"GENRE_TEACH": switch}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == f"{found}\n", done.stderr
