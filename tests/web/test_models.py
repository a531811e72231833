"""Models by name: which visitors get, who waits for a download, and whose they are."""

import gc
import re
import shutil
import threading

import pytest

from genre.errors import CheckpointError
from genre.models.model import DEFAULT, SHIPPED
from genre.web import models, texts
from genre.web.models import TAUGHT_PREFIX, Models
from tests.hub.test_publish import LABELS, REPO, small_checkpoint, use_hub
from tests.hub_server import OWNER, running_hub

TOO_LARGE = bytes(3 * 2**20)


def fake(source, most_bytes=None):
    """In place of a classifier, the name of its source."""
    return source


@pytest.fixture
def chosen():
    return Models()


def test_a_download_holds_up_nobody_but_those_who_want_that_model(chosen, monkeypatch):
    begun, end, slow, loads = threading.Event(), threading.Event(), [], []

    def load(source, most_bytes):
        loads.append(source)
        if source.endswith("slow"):
            begun.set()
            assert end.wait(60)
        return source

    monkeypatch.setattr(models, "load", load)
    visitors = [threading.Thread(target=lambda: slow.append(chosen.get("user/slow"))) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    assert begun.wait(60)
    assert chosen.get("user/quick") == "hf-hub:user/quick"  # loaded meanwhile
    assert chosen.get("user/quick") == "hf-hub:user/quick"
    assert not slow
    end.set()
    for visitor in visitors:
        visitor.join(60)
    assert slow == ["hf-hub:user/slow"] * 2
    assert sorted(loads) == ["hf-hub:user/quick", "hf-hub:user/slow"]


def test_train_py_finds_a_model_by_its_public_source(chosen, tmp_path):
    folder = shutil.copytree(SHIPPED / DEFAULT, tmp_path / "private")
    mine = Models(str(folder))
    assert [mine.public_source(name) for name in (mine.first, DEFAULT)] == [DEFAULT, DEFAULT]
    assert [chosen.public_source(name) for name in ("user/m@v1", "hf-hub:user/m")] == [
        "hf-hub:user/m@v1",
        "hf-hub:user/m",
    ]


def test_a_download_that_takes_too_long_is_a_sentence_and_goes_on(chosen, monkeypatch):
    end = threading.Event()
    monkeypatch.setattr(models, "load", lambda source, most_bytes: end.wait(60) and source)
    monkeypatch.setattr(models, "MODEL_SECONDS", 0.01)
    with pytest.raises(CheckpointError, match="user/slow has not arrived from the Hugging Face Hub within 0.01 s"):
        chosen.get("user/slow")
    end.set()
    monkeypatch.setattr(models, "MODEL_SECONDS", 60)
    assert chosen.get("user/slow") == "hf-hub:user/slow"


def test_a_model_that_did_not_load_is_tried_again(chosen, monkeypatch):
    answers = iter([CheckpointError("It is damaged."), "right"])

    def load(source, most_bytes):
        if isinstance(answer := next(answers), CheckpointError):
            raise answer
        return answer

    monkeypatch.setattr(models, "load", load)
    with pytest.raises(CheckpointError, match="It is damaged."):
        chosen.get("user/repo")
    assert chosen.get("user/repo") == "right"


def test_the_models_that_were_used_last_are_kept(chosen, monkeypatch):
    loaded = []
    monkeypatch.setattr(models, "load", lambda source, most_bytes: loaded.append(source[-1]) or source)
    for name in ("a", "b", "c", "a", "d", "a", "b"):
        chosen.get(f"user/{name}")
    assert loaded == ["a", "b", "c", "d", "b"]


@pytest.mark.parametrize(
    ("offered", "named", "taken"),
    [
        (None, "user/repo@v1.0", True),
        ((), "user/repo", False),
        (("user/repo",), "user/repo", True),
        (("user/repo",), "hf-hub:user/repo", True),
        (("user/repo",), "user/other", False),
        (("user/repo",), "user/repo@v2", False),
        (("user/repo",), "../repo", False),
    ],
)
def test_visitors_get_the_models_of_the_hub_that_are_offered(chosen, monkeypatch, offered, named, taken):
    monkeypatch.setattr(models, "load", fake)
    monkeypatch.setattr(models, "MODELS", offered)
    assert chosen.names == [DEFAULT, *(offered or ())]
    if taken:
        assert chosen.get(named) == "hf-hub:" + named.removeprefix("hf-hub:")
    else:
        with pytest.raises(CheckpointError, match=re.escape(texts.MODEL_NOT_LISTED)):
            chosen.get(named)
    assert chosen.get(DEFAULT)


def test_it_is_said_whose_model_it_is(chosen, monkeypatch):
    assert chosen.origin(None) == chosen.origin(DEFAULT) == chosen.origin(TAUGHT_PREFIX + "0" * 32) == ""
    assert chosen.origin("hf-hub:user/repo").startswith("The model is user/repo on the Hugging Face Hub, not from the ")
    monkeypatch.setattr(models, "MODELS", ("user/repo",))
    assert chosen.origin("user/repo") == "The model is user/repo on the Hugging Face Hub."


def test_visitors_do_not_see_the_folder_of_the_first_model(tmp_path):
    folder = shutil.copytree(SHIPPED / DEFAULT, tmp_path / "fma-small")
    chosen = Models(str(folder))
    assert chosen.first == DEFAULT and chosen.names == [DEFAULT]
    assert chosen.get(None) is chosen.get(DEFAULT)
    assert chosen.read(DEFAULT).digest == chosen.get(DEFAULT).model.digest
    with pytest.raises(CheckpointError):
        chosen.get(str(folder))


def test_the_first_model_is_known_by_the_name_of_its_repository(monkeypatch):
    monkeypatch.setattr(models, "load", fake)
    chosen = Models("hf-hub:user/repo")
    assert chosen.get("user/repo") == chosen.get("hf-hub:user/repo") == chosen.get(None) == "hf-hub:user/repo"
    assert chosen.origin("user/repo") == chosen.origin(None) == ""


def test_a_taught_model_is_there_as_long_as_its_visitor_keeps_it(classifier):
    chosen = Models()
    taught = type(classifier)(classifier.model)
    name = chosen.add_taught(taught)
    assert chosen.get(name) is taught and name not in chosen.names
    assert re.fullmatch(TAUGHT_PREFIX + "[0-9a-f]{32}", name)
    del taught
    gc.collect()
    for gone in (name, TAUGHT_PREFIX, TAUGHT_PREFIX + "0" * 32):
        with pytest.raises(CheckpointError, match=re.escape(texts.TAUGHT_MODEL_GONE)):
            chosen.get(gone)


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_is_no_checkpoint_is_not_fetched(monkeypatch, tmp_path):
    with running_hub() as hub:
        use_hub(monkeypatch, hub.url, None, tmp_path)
        hub.create(REPO, private=False).commit({"config.json": b"{}", "model.safetensors": bytes(2**20)})
        with pytest.raises(CheckpointError, match=f"hf-hub:{REPO} is no checkpoint of this project"):
            Models().get(REPO)
        assert not any("/resolve/" in request for request in hub.requests)


@pytest.mark.slow
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
