"""Faults around server and commands: it is killed, the disk is full, a checkpoint is damaged, the Hub is not reachable,
a file ends the decoder."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from httpx2 import ConnectError

import app
from genre.audio import worker
from genre.data.archive import UNREADABLE_NOTE
from genre.errors import CheckpointError
from genre.models.downloads import hub_reason
from genre.models.model import SHIPPED
from genre.web import texts
from genre.web.models import Models
from tests.conftest import ROOT, music, running_app, tone, write_audio
from tests.hub.test_publish import REPO, use_hub
from tests.visitor import Visitor, file

NOWHERE = "/proc/nowhere"  # a folder that not even root can create
SHORT_LIVED = ROOT / "tests" / "short_lived"


def test_a_killed_server_restarts_and_deletes_its_uploads(tmp_path):
    before = children(os.getpid())
    song = write_audio(tmp_path / "long.mp3", [np.tile(music(10), 60)], "mp3")
    with running_app(SHORT_LIVED, os.environ | {"LIFE": "3600"}, tmp_path) as address:
        visitor = Visitor(address)
        half_an_upload(address)
        visitor.http.post("/call/classify", json={"data": [visitor.upload(song)]}).raise_for_status()
        (server,) = set(children(os.getpid())) - set(before)
        until(lambda: children(server), "the song is being decoded")
        decoders = children(server)
        os.kill(server, signal.SIGKILL)
        until(lambda: not any(map(runs, decoders)), "the decoders have ended")
    assert len(files(tmp_path)) > 5

    with running_app(SHORT_LIVED, os.environ | {"LIFE": "2"}, tmp_path) as address:
        until(lambda: len(files(tmp_path)) == 4, "only the examples are left")
        half_an_upload(address).close()
        until(lambda: len(files(tmp_path)) == 5, "some of an upload has arrived")
        until(lambda: len(files(tmp_path)) == 4, "it is deleted")
        visitor = Visitor(address)
        chosen = re.search(r'"path":"([^"]+arpeggio.mp3)"', visitor.ask("load_example", 1))[1]
        assert visitor.classify(file(chosen))["genre"] == "Electronic"


def half_an_upload(address):
    """Begin to send a file, and stop before its end."""
    connection = socket.create_connection((urlsplit(address).hostname, urlsplit(address).port))
    connection.sendall(
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
        b"Content-Type: multipart/form-data; boundary=cut\r\n\r\n"
        b'--cut\r\nContent-Disposition: form-data; name="files"; filename="half.mp3"\r\n\r\n' + bytes(100_000)
    )
    return connection


def files(folder):
    return [path for path in (folder / "uploads").rglob("*") if path.is_file()]


def children(process):
    return [
        int(pid) for task in Path(f"/proc/{process}/task").iterdir() for pid in (task / "children").read_text().split()
    ]


def runs(process):
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def until(condition, what):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"timeout before {what}")


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """An app without a home or a Hub, and with little room for uploads where mounting a file system is permitted."""
    folder = tmp_path_factory.mktemp("poor")
    room = folder / "uploads"
    room.mkdir()
    mounted = not subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(room)], check=False).returncode
    nowhere = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME"), NOWHERE)
    settings = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    try:
        with running_app(ROOT, os.environ | nowhere | settings, folder) as address:
            yield Visitor(address)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(room)], check=True)


def test_it_runs_without_a_home_or_a_hub(poor, example):
    song = poor.upload(example)
    assert poor.classify(song)["genre"] == "Electronic"
    assert f"hf-hub:{REPO} could not be downloaded from the Hugging Face Hub" in poor.ask("show", song, REPO, 0, None)


def test_a_full_disk_is_reported_and_the_server_continues(poor, example):
    if shutil.disk_usage(poor.upload(example)["path"]).total > 2**23:
        pytest.skip("mounting a small disk is not permitted here")
    large = poor.send("large.mp3", bytes(2**23))
    assert (large.status_code, large.text) == (507, texts.NO_ROOM)
    song = poor.upload(example)
    boundary = b'--cut\r\nContent-Disposition: form-data; name="files"; filename="large.mp3"\r\n\r\n'
    unannounced = poor.http.post(
        "/upload",
        content=iter([boundary, *[bytes(2**16)] * 2**7, b"\r\n--cut--\r\n"]),
        headers={"Content-Type": "multipart/form-data; boundary=cut"},
    )
    assert (unannounced.status_code, unannounced.text) == (507, texts.NO_ROOM)
    assert poor.classify(song)["genre"] == "Electronic"


def test_without_a_folder_for_uploads_it_does_not_start():
    done = start({"GRADIO_TEMP_DIR": NOWHERE})
    assert done.stderr == "Uploads have no folder: set GRADIO_TEMP_DIR to one that can be written to.\n"


def start(settings):
    """`python app.py`, which fails to start."""
    command = [sys.executable, str(ROOT / "app.py")]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    return done


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SHIPPED / "fma-small", tmp_path / "copy")


def refusal(monkeypatch, checkpoint):
    """The message with which the app refuses a checkpoint."""
    monkeypatch.setattr(sys, "argv", ["app.py", "--checkpoint", str(checkpoint)])
    with pytest.raises(SystemExit) as caught:
        app.main()
    return caught.value.code


def test_standard_error_has_one_sentence(copy):
    weights = next(copy.glob("*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    sentence = f"app.py: The weights of checkpoint {copy} are damaged; fetch them again.\n"
    assert start({"GENRE_CHECKPOINT": str(copy)}).stderr == sentence


@pytest.mark.parametrize("offline", [False, True])
def test_an_unreachable_hub_is_reported(monkeypatch, tmp_path, offline):
    use_hub(monkeypatch, "http://127.0.0.1:9", None, tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    reason = "it is not in the cache, and HF_HUB_OFFLINE .*" if offline else "the Hub .* is there a network\\?"
    message = f"hf-hub:{REPO} could not be downloaded from the Hugging Face Hub: {reason}"
    assert re.fullmatch(f"app\\.py: {message}", refusal(monkeypatch, f"hf-hub:{REPO}"))
    with pytest.raises(CheckpointError, match="the Hub" if offline else message):
        Models().get(REPO)


def test_a_certificate_that_is_not_the_hubs_is_named():
    error = ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")
    assert re.fullmatch("the certificate of https://.* is not valid; .*", hub_reason(error))


# A decoder that ends its process at files of a certain name; Python imports this module at its start, in every process.
ENDED_BY_A_FILE = f"""
import os, sys
sys.path.append({str(ROOT)!r})
from genre.audio import decode

def open_file(path, usual=decode.open_file):
    return os._exit(139) if os.path.basename(path) == "bad.wav" else usual(path)

decode.open_file = open_file
"""
BUILD_ARCHIVE = """
import csv, sys
from pathlib import Path
from genre.data.archive import build_archive
from genre.data.sources import cut_songs, folder_songs
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    build_archive(cut_songs(folder_songs(Path("mine")), Path("mine")), ["sparse"], folder)
    with (folder / "index.csv").open() as file:
        print(*(f"{row['track_id']} {row['note']}" for row in csv.DictReader(file)), sep="\\n")
"""


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["-m", "genre", "mine"], 1),
        (["-m", "genre", "mine", "--cluster", "local", "--out", "genres.jsonl"], 1),
        ([str(ROOT / "train.py"), "--data", "mine", "--out", "probe"], 0),
        (["build.py", "archive"], 0),
    ],
    ids=["command", "cluster", "probe", "archive"],
)
def test_a_file_that_ends_the_decoder_is_left_out_alone(tmp_path, command, status):
    for genre, hertz in (("A", 220), ("B", 880)):
        for number in range(2):
            path = tmp_path / "mine" / genre / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, [music(4) + tone(4, hertz + number, level=0.1)], "pcm_s16le")
    write_audio(tmp_path / "mine" / "A" / "bad.wav", [music(5)], "pcm_s16le")
    (tmp_path / "build.py").write_text(BUILD_ARCHIVE)
    (tmp_path / "sitecustomize.py").write_text(ENDED_BY_A_FILE)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == status, output
    assert output.count(f"bad.wav: {worker.BROKEN_OFF}") == 1
    if command[0] == "build.py":
        rows = ["A/0.wav@0 ", "A/1.wav@0 ", f"A/bad.wav@0 {UNREADABLE_NOTE}", "B/0.wav@0 ", "B/1.wav@0 "]
        assert done.stdout.splitlines()[-5:] == rows
    elif "probe" in command:
        songs = json.loads((tmp_path / "probe" / "metrics.json").read_text())["training"]["probe"]["songs"]
        assert songs == {"A": 2, "B": 2}
    elif "--out" in command:
        rows = list(map(json.loads, (tmp_path / "genres.jsonl").read_text().splitlines()))
        assert len(rows) == 5 and [row["file"] for row in rows if "error" in row] == ["mine/A/bad.wav"]
    else:
        assert done.stdout.count("\n") == 4


def test_a_file_that_ends_the_decoder_costs_the_page_itself_alone(tmp_path, example):
    (tmp_path / "sitecustomize.py").write_text(ENDED_BY_A_FILE)
    bad = write_audio(tmp_path / "bad.wav", [music(5)], "pcm_s16le")
    with running_app(ROOT, os.environ | {"PYTHONPATH": str(tmp_path)}, tmp_path) as address:
        visitor = Visitor(address)
        shown = visitor.ask("show", visitor.upload(bad), None, 0, None)
        assert worker.BROKEN_OFF in shown
        assert visitor.classify(visitor.upload(example))["genre"]
