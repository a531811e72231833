"""Each limit gives one sentence when it is exceeded, and the server continues to work."""

import os
import re
import subprocess
import sys

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from genre.errors import CheckpointError
from genre.web import models, song, texts, uploads
from genre.web.models import Models
from tests.conftest import ROOT, music, running_app, write_audio
from tests.hub.test_publish import LABELS, REPO, small_checkpoint, use_hub
from tests.hub_server import OWNER, running_hub
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
    with pytest.raises(AppError, match=re.escape(texts.too_many(2))):
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
    ],
)
def test_an_invalid_setting_is_one_line(setting, value):
    message = started([sys.executable, "-c", "import genre.web.limits"], {f"GENRE_{setting}": value})
    assert re.fullmatch(f"GENRE_{setting} must be .*, such as .*, not {value!r}\\.\n", message)


def test_the_app_does_not_start_with_an_invalid_setting():
    message = started([sys.executable, "app.py"], {"GENRE_MAX_SECONDS": "abc"})
    assert message == "GENRE_MAX_SECONDS must be a whole number above 0, such as 1800, not 'abc'.\n"


def started(command, environment):
    """Standard error of a command that must fail."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


def test_a_model_that_is_too_large_is_not_fetched(monkeypatch, tmp_path):
    folder = small_checkpoint(tmp_path / "mine", LABELS)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    chosen = Models()
    with running_hub() as hub:
        use_hub(monkeypatch, hub.url, None, tmp_path)
        hub.create(REPO, private=False)
        hub.repo(REPO).commit(files | {"pytorch_model.bin": TOO_LARGE, "run.py": b"", "dense/state.pt": b""})
        monkeypatch.setattr(models, "MAX_MODEL_SIZE", 2**20)
        with pytest.raises(CheckpointError, match=f"{REPO} is too large: models of at most 1 MB are fetched"):
            chosen.get(REPO)
        assert not any("/resolve/" in request for request in hub.requests)
        monkeypatch.setattr(models, "MAX_MODEL_SIZE", 200 * 2**20)
        assert chosen.get(REPO).labels == LABELS
        fetched = {request.rpartition("/main/")[2] for request in hub.requests if "/resolve/" in request}
        assert not (tmp_path / "cache").exists()  # nothing is left on the disk
    assert {path.rpartition("/")[2] for path in fetched} == {"config.json", "model.safetensors"}


def test_what_is_no_checkpoint_is_not_fetched(monkeypatch, tmp_path):
    with running_hub() as hub:
        use_hub(monkeypatch, hub.url, None, tmp_path)
        hub.create(REPO, private=False).commit({"config.json": b"{}", "model.safetensors": bytes(2**20)})
        with pytest.raises(CheckpointError, match=f"hf-hub:{REPO} is no checkpoint of this project"):
            Models().get(REPO)
        assert not any("/resolve/" in request for request in hub.requests)


def test_visitors_do_not_get_the_private_models_of_the_host(monkeypatch, tmp_path):
    folder = small_checkpoint(tmp_path / "mine", LABELS)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with running_hub() as hub:
        use_hub(monkeypatch, hub.url, OWNER, tmp_path)
        hub.create(REPO, private=True).commit(files)
        with pytest.raises(CheckpointError, match="is it public"):
            Models().get(REPO)
        own = Models(f"hf-hub:{REPO}")  # the one that the page starts with
    assert own.get(None).labels == own.get(REPO).labels == LABELS
