"""Each limit gives one sentence when it is exceeded, and the server continues to work."""

import os
import re
import subprocess
import sys

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from genre.web import song, texts, uploads
from genre.web.limits import MAX_SONGS
from genre.web.models import Models
from tests.conftest import ROOT, music, running_app, write_audio
from tests.visitor import Visitor

SETTINGS = {
    "GENRE_MAX_FILE_SIZE": "1mb",
    "GENRE_MAX_SECONDS": "6",
    "GENRE_MAX_SONGS": "2",
    "GENRE_MAX_WAITING": "1",
    "GENRE_PARALLEL_JOBS": "1",
}
TOO_LARGE = bytes(3 * 2**20)


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """The address of an app with small limits."""
    with running_app(ROOT, os.environ | SETTINGS, tmp_path_factory.mktemp("strict")) as address:
        yield address


@pytest.fixture
def visitor(strict, example):
    """A visitor; after each test the server must classify the next song."""
    visitor = Visitor(strict)
    yield visitor
    assert visitor.classify(visitor.upload(example))["genre"] == "Electronic"


def test_a_file_that_is_too_large_is_refused(visitor, strict, tmp_path):
    refused = visitor.send("large.mp3", TOO_LARGE)
    assert (refused.status_code, refused.text) == (413, "File size exceeded maximum allowed size of 1048576 bytes.")
    (tmp_path / "large.mp3").write_bytes(TOO_LARGE)
    with pytest.raises(ValueError, match="exceeds the maximum file size of 1048576 bytes"):
        Client(strict, verbose=False).predict(handle_file(tmp_path / "large.mp3"), api_name="/classify")


def test_a_long_recording_is_classified_up_to_the_limit(visitor, example):
    song = visitor.upload(example)
    assert visitor.classify(song)["seconds"] == 6
    assert visitor.classify(song)["notes"] == [texts.limit_reached(6)]
    assert texts.limit_reached(6) in visitor.ask("show", song, None, 0, None)


def test_too_many_songs_are_refused(visitor, strict, example):
    with pytest.raises(AppError, match=re.escape(texts.TOO_MANY.replace(str(MAX_SONGS), "2"))):
        Client(strict, verbose=False).predict([handle_file(example)] * 3, api_name="/classify_batch")


def test_a_full_queue_answers_503(visitor, example):
    song, taken = visitor.upload(example), []
    for _ in range(100):  # one is classified, one waits
        answer = visitor.http.post("/call/classify", json={"data": [song]})
        if answer.status_code != 200:
            break
        taken.append(answer.json()["event_id"])
    assert (answer.status_code, answer.json()["detail"]) == (503, "Queue is full. Max size is 1 and size is 1.")
    assert all("Electronic" in visitor.http.get(f"/call/classify/{event}").text for event in taken)


def test_a_job_that_takes_too_long_returns_the_prediction_so_far(monkeypatch, tmp_path):
    monkeypatch.setattr(uploads, "FOLDER", tmp_path)
    monkeypatch.setattr(uploads, "JOB_SECONDS", 0)
    path = write_audio(tmp_path / "long.wav", [music(60)], "pcm_s16le")
    classifier = Models().get(None)
    prediction = classifier.classify(uploads.Upload(str(path)))
    assert prediction.seconds == pytest.approx(10, abs=0.1)  # the first piece
    assert prediction.notes == (texts.OUT_OF_TIME,)
    *_, last = song.stream_results(classifier, str(path))
    assert "Classified 0:10 in 4 windows." in last.card and texts.OUT_OF_TIME in last.card


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("MAX_SECONDS", "0"),
        ("MAX_WAITING", ""),
        ("MAX_FILE_SIZE", "50"),
        ("TEACH", "maybe"),
        ("MODELS", "jazz"),
    ],
)
def test_an_invalid_setting_is_one_line(setting, value):
    command, environment = [sys.executable, "app.py"], os.environ | {f"GENRE_{setting}": value}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(f"GENRE_{setting} must be .*, such as .*, not {value!r}\\.\n", done.stderr)


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        ({}, None),
        ({"SPACE_ID": "user/space"}, ()),
        ({"SPACE_ID": "user/space", "GENRE_MODELS": "any"}, None),
        ({"GENRE_MODELS": "user/repo  other/repo@v1"}, ("user/repo", "other/repo@v1")),
    ],
)
def test_a_space_offers_no_models_of_the_hub_unless_they_are_named(settings, offered):
    program = "from genre.web.limits import MODELS; print(MODELS)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=os.environ | settings, capture_output=True)
    assert done.stdout.decode() == f"{offered}\n"
