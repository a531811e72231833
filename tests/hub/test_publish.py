"""Uploads to a local Hub server, see `hub_server`, and downloads from it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from gradio_client import Client, handle_file
from huggingface_hub import ModelCard

import genre
from genre.errors import CheckpointError
from genre.features.log_mel import FRONT_ENDS
from genre.files import write_json
from genre.hub.card import write_card
from genre.hub.publish import PublishError, push_checkpoint, push_space
from genre.models.backbones import RANDOM, create_backbone
from genre.models.member import Member
from genre.models.model import SHIPPED, GenreModel
from genre.web.models import Models
from tests.conftest import ROOT, running_app
from tests.hub_server import OWNER, READER, Hub, running_hub, use_hub

METRICS = SHIPPED / "fma-small" / "metrics.json"
LABELS = json.loads((SHIPPED / "fma-small" / "config.json").read_text())["labels"]
REPO, SPACE = "user/genres", "user/page"


def small_checkpoint(folder: Path, labels: list[str], member: str = "dense") -> Path:
    """A checkpoint of one small member with random weights."""
    backbone = create_backbone("test_efficientnet", len(labels), RANDOM)
    members = {member: Member(backbone, FRONT_ENDS["dense"], -40.0, 20.0, (128, 130))}
    GenreModel(labels, members).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = small_checkpoint(tmp_path_factory.mktemp("checkpoints") / "mine", LABELS)
    shutil.copy(METRICS, folder)
    (folder / "README.md").write_text('---\nlicense: mit\n---\n# mine\n\nA small one: genre.load("hf-hub:user/repo")\n')
    (folder / "state.pt").write_bytes(b"a pickle")
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Hub:
    """An empty Hub; its owner is logged in."""
    with running_hub() as hub:
        use_hub(monkeypatch, hub.url, OWNER, tmp_path)
        yield hub


def test_files_are_uploaded_unchanged(hub, checkpoint):
    published = push_checkpoint(checkpoint, REPO)
    files = hub.repo(REPO).files("v1")
    weights = "dense/model.safetensors"
    assert set(files) - {".gitattributes"} == {
        "README.md", "config.json", "metrics.json", "confusion.png", "dense/config.json", weights,
    }  # fmt: skip
    for path in ("metrics.json", "dense/config.json", weights):
        assert files[path] == (checkpoint / path).read_bytes()
    config = json.loads((checkpoint / "config.json").read_text())
    assert json.loads(files["config.json"]).items() >= config.items()
    assert published.files == {path: len(content) for path, content in files.items() if path != ".gitattributes"}
    assert hub.repo(REPO).tags == {"v1": hub.repo(REPO).main}
    assert (published.tag, published.url) == ("v1", f"{hub.url}/{REPO}/tree/v1")
    assert hub.repo(REPO).private
    assert len(hub.repo(REPO).commits) == 2  # the initial one of the Hub, and the push


def test_timm_and_genre_load_what_was_pushed(hub, checkpoint):
    push_checkpoint(checkpoint, REPO)
    network = timm.create_model(f"hf-hub:{REPO}@v1", pretrained=True)
    member = GenreModel.from_pretrained(checkpoint).members["dense"].backbone.state_dict()
    assert all(torch.equal(value, member[name]) for name, value in network.state_dict().items())
    assert genre.load(f"hf-hub:{REPO}@v1").labels == LABELS


def test_the_space_classifies_with_the_pushed_checkpoint(hub, checkpoint, tmp_path):
    push_checkpoint(checkpoint, REPO)
    push_space(REPO, SPACE, "v1")
    space = hub.repo(SPACE, "spaces")
    for path, content in space.files().items():
        (tmp_path / "space" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "space" / path).write_bytes(content)
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": READER,
        "HF_HUB_OFFLINE": "0",
    }
    with running_app(tmp_path / "space", environment | space.variables) as address:
        client = Client(address, verbose=False)
        song = client.predict(handle_file(ROOT / "examples" / "arpeggio.mp3"), api_name="/classify")
    assert set(song["probabilities"]) == set(LABELS)
    (weights,) = (tmp_path / "home").rglob("model.safetensors")
    assert weights.read_bytes() == (checkpoint / "dense" / "model.safetensors").read_bytes()


def test_tags_are_numbered_and_can_be_chosen(hub, checkpoint):
    first, second = push_checkpoint(checkpoint, REPO), push_checkpoint(checkpoint, REPO)
    push_checkpoint(checkpoint, REPO, tag="v9")
    assert (first.tag, second.tag) == ("v1", "v2")
    assert push_checkpoint(checkpoint, REPO).tag == "v10"
    push_checkpoint(checkpoint, "user/public", public=True)
    assert not hub.repo("user/public").private
    assert hub.repo(REPO).tags["v1"] != hub.repo(REPO).tags["v2"]


def test_an_invalid_or_existing_tag_raises(hub, checkpoint):
    with pytest.raises(PublishError, match="'two words' is not a valid tag"):
        push_checkpoint(checkpoint, REPO, tag="two words", dry_run=True)
    assert hub.requests == []  # before a repository is made
    push_checkpoint(checkpoint, REPO)
    commits = len(hub.repo(REPO).commits)
    for tag in ("v1", "main"):
        with pytest.raises(PublishError, match=f"already has a revision {tag}"):
            push_checkpoint(checkpoint, REPO, tag=tag)
    assert len(hub.repo(REPO).commits) == commits


def test_an_interrupted_upload_leaves_no_revision(hub, checkpoint):
    hub.accepts_uploads = False
    with pytest.raises(PublishError, match="was interrupted; push it again"):
        push_checkpoint(checkpoint, REPO)
    assert len(hub.repo(REPO).commits) == 1 and not hub.repo(REPO).tags
    hub.accepts_uploads = True
    assert push_checkpoint(checkpoint, REPO).tag == "v1"


def test_a_push_removes_files_of_the_previous_push(hub, checkpoint, tmp_path):
    push_checkpoint(checkpoint, REPO)
    hub.repo(REPO).files()["notes.txt"] = b"by hand"
    push_checkpoint(small_checkpoint(tmp_path / "other", LABELS, "sparse"), REPO)
    assert set(hub.repo(REPO).files()) == {
        ".gitattributes", "README.md", "config.json", "sparse/config.json", "sparse/model.safetensors", "notes.txt",
    }  # fmt: skip


def test_a_dry_run_sends_no_request(hub, checkpoint):
    planned = push_checkpoint(checkpoint, REPO, dry_run=True)
    assert hub.requests == []
    assert planned.tag == ""
    assert planned.files == push_checkpoint(checkpoint, REPO).files


def test_the_card_has_metadata_and_metrics(hub, checkpoint):
    push_checkpoint(checkpoint, REPO)
    card = ModelCard(hub.repo(REPO).files()["README.md"].decode())
    metadata = card.data.to_dict()
    assert [metadata[key] for key in ("license", "library_name", "pipeline_tag", "inference", "base_model")] == [
        "apache-2.0", "timm", "audio-classification", False, ["timm/test_efficientnet.r160_in1k"],
    ]  # fmt: skip
    assert "datasets" not in metadata  # FMA-small came from its own server
    assert card.data.model_name == "mine"
    test = json.loads(METRICS.read_text())["test"]
    results = {(one.dataset_name, one.metric_name, one.metric_value) for one in card.data.eval_results}
    assert results == {
        (source, name, figures[level]["top1"])
        for source, figures in test.items()
        for level, name in (("track", "Top-1, track"), ("first_window", "Top-1, first window"))
    }
    assert {one.dataset_split for one in card.data.eval_results} == {"test"}
    assert card.text.count("# mine") == 1
    assert f'genre.load("hf-hub:{REPO}")' in card.text
    assert "](confusion.png)" in card.text
    assert f'`timm.create_model("hf-hub:{REPO}", pretrained=True)`' in card.text
    assert "license: mit" in (checkpoint / "README.md").read_text()  # the local card is not changed


def test_a_card_without_metrics_has_no_results(hub, tmp_path):
    push_checkpoint(small_checkpoint(tmp_path / "bare", ["Quiet", "Loud"]), REPO)
    files = hub.repo(REPO).files()
    assert "confusion.png" not in files
    card = ModelCard(files["README.md"].decode())
    assert card.data.eval_results is None and card.data.to_dict().get("datasets") is None
    assert "# bare" in card.text


def test_the_card_names_data_sets_of_the_hub(hub, checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "mine")
    metrics = json.loads(METRICS.read_text())
    metrics |= {split: {"songs": metrics[split]["FMA-small"]} for split in ("validation", "test")}
    metrics["training"] |= {
        "command": "python train.py --data hf:someone/songs@v2 other --from-scratch",
        "start": "random weights",
        "sources": {name: metrics["training"]["sources"]["outside"] for name in ("songs", "other")},
    }
    write_json(folder / "metrics.json", metrics)
    write_card(folder)
    push_checkpoint(folder, REPO)
    card = ModelCard(hub.repo(REPO).files()["README.md"].decode())
    assert card.data.datasets == ["someone/songs"] and card.data.base_model is None
    assert {one.dataset_type for one in card.data.eval_results} == {"someone/songs"}
    assert "[someone/songs](https://huggingface.co/datasets/someone/songs)" in card.text
    assert "other: collected by the person who trained this checkpoint" in card.text


def test_a_push_with_other_labels_raises(hub, checkpoint, tmp_path):
    push_checkpoint(checkpoint, REPO)
    with pytest.raises(PublishError, match="user/genres holds a model with other labels"):
        push_checkpoint(small_checkpoint(tmp_path / "other", ["Quiet", "Loud"]), REPO)
    assert list(hub.repo(REPO).tags) == ["v1"]
    hub.create(REPO).files()["config.json"] = b'{"model_type": "bert"}'
    with pytest.raises(PublishError, match="other labels"):
        push_checkpoint(checkpoint, REPO)


def test_a_card_that_was_edited_on_the_hub_is_kept_until_it_is_to_be_replaced(hub, checkpoint):
    """That of a model and of a Space; one that nobody edited is written anew."""
    for name, kind, push in (
        (REPO, "models", lambda **options: push_checkpoint(checkpoint, REPO, **options)),
        (SPACE, "spaces", lambda **options: push_space(REPO, SPACE, "v1", **options)),
    ):
        first, repo = push(), hub.repo(name, kind)
        ours = repo.files()["README.md"]
        assert "README.md" in first.files and "README.md" in push().files and repo.files()["README.md"] == ours
        licence = ours.replace(b"license: apache-2.0", b"license: mit")
        for edited in (licence, ours + b"By hand.\n", b"# \xff", b"---\n[\n---\n"):
            repo.commit({**repo.files(), "README.md": edited})
            assert "README.md" not in push().files and repo.files()["README.md"] == edited != ours
        assert "README.md" in push(replace_card=True).files and repo.files()["README.md"] == ours


def test_a_licence_that_was_chosen_on_the_hub_is_kept(hub, checkpoint):
    hub.create(REPO).files()["README.md"] = b"---\nlicense: cc-by-nc-4.0\n---\n"
    push_checkpoint(checkpoint, REPO)
    card = ModelCard(hub.repo(REPO).files()["README.md"].decode())
    assert card.data.license == "cc-by-nc-4.0" and card.data.eval_results and "# mine" in card.text


@pytest.mark.parametrize("name", ["genres", "a/b/c", "user/two words", "user/two--dashes", "", "hf-hub:user/genres"])
def test_an_invalid_repository_name_raises(hub, checkpoint, name):
    with pytest.raises(PublishError, match="user/"):
        push_checkpoint(checkpoint, name)
    assert hub.requests == []


@pytest.mark.parametrize(("token", "repo"), [(READER, REPO), (OWNER, "somebody/genres")])
def test_a_token_without_write_access_raises(hub, checkpoint, monkeypatch, token, repo):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PublishError, match=f"may not write to {repo}"):
        push_checkpoint(checkpoint, repo)
    assert not hub.repos and not hub.uploads
    hub.create(REPO)
    with pytest.raises(PublishError, match="may not write"):
        push_checkpoint(checkpoint, repo)


def test_a_token_that_the_hub_does_not_take_is_named(hub, checkpoint, monkeypatch):
    push_checkpoint(checkpoint, REPO, public=True)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    reason = "the Hub does not take the stored token (401): log in with hf auth login, or unset HF_TOKEN."
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        genre.load(f"hf-hub:{REPO}")
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        create_backbone("tf_efficientnet_lite0", 2)
    with pytest.raises(PublishError, match=re.escape(reason)):
        push_checkpoint(checkpoint, REPO)
    assert Models().get(REPO).labels == LABELS  # what visitors name is fetched without it


@pytest.mark.parametrize(
    ("outage", "reason"),
    [
        ((429, b"{}"), r"the Hub asks to wait \(429\)"),
        ((503, b"{}"), r"the Hub is out of order \(503\)"),
        ((200, b"<html>"), "what answers is not the Hub; does the network first ask to log in"),
        ((200, b"{}"), "what answers is not the Hub"),
    ],
    ids=["rate limit", "out of order", "network with a login page", "another service"],
)
def test_the_reason_is_what_the_hub_answers(hub, checkpoint, outage, reason):
    push_checkpoint(checkpoint, REPO, public=True)
    hub.outage = outage
    for load in (genre.load, Models().get):
        with pytest.raises(CheckpointError, match=f"^hf-hub:{REPO} could not be downloaded from .* Hub: {reason}"):
            load(f"hf-hub:{REPO}")


def test_a_revision_that_is_not_there_is_named(hub, checkpoint):
    push_checkpoint(checkpoint, REPO, public=True)
    with pytest.raises(CheckpointError, match="it has no such revision"):
        genre.load(f"hf-hub:{REPO}@v7")


def test_a_cache_that_cannot_be_written_is_named(hub, checkpoint, monkeypatch, tmp_path):
    push_checkpoint(checkpoint, REPO, public=True)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"the cache {tmp_path / 'cache'} cannot be written: Not a directory"):
        genre.load(f"hf-hub:{REPO}")

    def fill_disk(*_, **__):
        raise RuntimeError("Data processing error: IO Error: No space left on device (os error 28)")  # as hf_xet does

    monkeypatch.setattr("genre.models.downloads.snapshot_download", fill_disk)
    full = "cannot be written: No space left on device"
    with pytest.raises(CheckpointError, match=f"the cache .* {full}"):
        genre.load(f"hf-hub:{REPO}")
    with pytest.raises(
        CheckpointError, match=f"the server's temporary folder {full}"
    ):  # whose path visitors do not see
        Models().get(REPO)


def test_the_error_without_a_token_explains_how_to_log_in(hub, checkpoint, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PublishError, match="hf auth login.*HF_TOKEN"):
        push_checkpoint(checkpoint, REPO)
    with pytest.raises(PublishError, match="hf auth login.*HF_TOKEN"):
        push_space(REPO, SPACE, "v1")
    assert hub.requests == []


def test_a_hub_that_cannot_be_reached_raises(checkpoint, monkeypatch, tmp_path):
    with running_hub() as closed:
        pass
    use_hub(monkeypatch, closed.url, OWNER, tmp_path)
    with pytest.raises(PublishError, match=f"{closed.url} cannot be reached"):
        push_checkpoint(checkpoint, REPO)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PublishError, match="cannot be reached"):
        push_checkpoint(checkpoint, REPO)


def test_an_incomplete_checkpoint_is_not_uploaded(hub, checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    (copy / "dense" / "model.safetensors").unlink()
    for folder in (copy, tmp_path / "nowhere"):
        with pytest.raises(PublishError, match=f"{folder.name} is not a complete checkpoint"):
            push_checkpoint(folder, REPO)
    assert hub.requests == []


def test_a_space_has_the_page_and_the_revision_of_the_model(hub, checkpoint):
    push_checkpoint(checkpoint, REPO)
    assert push_space(REPO, SPACE, "v1").url == f"{hub.url}/spaces/{SPACE}"
    space = hub.repo(SPACE, "spaces")
    files = space.files()
    assert space.variables == {"GENRE_CHECKPOINT": f"hf-hub:{REPO}@v1"}
    assert space.private
    for path in (
        "app.py",
        "requirements.txt",
        "genre/models/member.py",
        "genre/web/static/style.css",
        "examples/arpeggio.mp3",
    ):
        assert files[path] == (ROOT / path).read_bytes()
    assert files["README.md"].startswith(b"---\ntitle:")
    links = re.findall(r"\]\(([^)]*)\)", files["README.md"].decode())
    assert links[1:] == [f"{hub.url}/spaces/{SPACE}?duplicate=true", f"{hub.url}/{REPO}/tree/v1"]  # after the badge
    assert {path.split("/")[0] for path in files} == {
        ".gitattributes", "README.md", "app.py", "examples", "genre", "requirements.txt",
    }  # fmt: skip
    assert not any("__pycache__" in path or path == "examples/make_examples.py" for path in files)


def test_a_space_is_updated(hub, checkpoint):
    push_checkpoint(checkpoint, REPO)
    push_space(REPO, SPACE, "v1")
    space = hub.repo(SPACE, "spaces")
    space.files()["genre/gone.py"] = b"from an older version"
    push_checkpoint(checkpoint, REPO)
    push_space(REPO, SPACE, "v2")
    assert space.variables == {"GENRE_CHECKPOINT": f"hf-hub:{REPO}@v2"}
    assert "genre/gone.py" not in space.files()


def test_a_space_needs_a_published_checkpoint(hub, checkpoint):
    with pytest.raises(PublishError, match="no user/genres@v1 on the Hub"):
        push_space(REPO, SPACE, "v1")
    push_checkpoint(checkpoint, REPO)
    with pytest.raises(PublishError, match="no user/genres@v7 on the Hub"):
        push_space(REPO, SPACE, "v7")
    assert ("spaces", SPACE) not in hub.repos


def run_train(hub: Hub, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": OWNER,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_publishes_model_and_page(hub, checkpoint, tmp_path):
    push = ["--out", str(checkpoint), "--push", REPO, "--space", SPACE]
    planned = run_train(hub, tmp_path, *push, "--dry-run")
    assert "Nothing was uploaded" in planned.stdout and not hub.repos
    assert "bytes  app.py" in planned.stdout and "bytes  dense/config.json" in planned.stdout
    wrong = run_train(hub, tmp_path, "--out", str(checkpoint), "--push", REPO, "--space", "not a name")
    assert wrong.returncode == 1 and "'not a name' is not a valid repository name" in wrong.stderr and not hub.repos

    done = run_train(hub, tmp_path, *push)
    assert done.returncode == 0, done.stderr
    assert hub.repo(REPO).files("v1")["metrics.json"] == (checkpoint / "metrics.json").read_bytes()
    assert "app.py" in hub.repo(SPACE, "spaces").files()
    hub.repo(REPO).files()["README.md"] = b"# By hand\n"
    done = run_train(hub, tmp_path, *push)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("README.md was edited there and stays as it is") == 1

    refused = run_train(hub, tmp_path, "--out", str(checkpoint), "--push", "someone-else/genres")
    assert refused.returncode == 1
    assert refused.stderr.startswith("train.py: Your token may not write") and refused.stderr.count("\n") == 1
