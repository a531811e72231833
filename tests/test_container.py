"""The Dockerfile without a container: its commands and settings, run as an unprivileged user."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, music, running_app, write_audio
from tests.visitor import Visitor

INSTRUCTIONS = dict(
    line.split(maxsplit=1)
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
)
SETTINGS = dict(setting.split("=", 1) for setting in shlex.split(INSTRUCTIONS["ENV"]))
CHECK = json.loads(INSTRUCTIONS["HEALTHCHECK"].partition("CMD ")[2])


@pytest.fixture
def environment(tmp_path):
    """The environment of a container, with a read-only home."""
    (tmp_path / "home").mkdir()
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path / "home")} | SETTINGS


@pytest.fixture
def as_nobody(tmp_path):
    """Prefix of a command that runs it as another user, who may write to the folder of uploads only.

    All files are readable, since the interpreter of the tests may be in a home that is closed to others.
    """
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("setpriv")):
        pytest.skip("only root becomes another user, by setpriv")
    import pwd

    user = pwd.getpwnam("nobody")
    (tmp_path / "uploads").mkdir()
    os.chown(tmp_path / "uploads", user.pw_uid, user.pw_gid)
    capabilities = "-all,+dac_read_search"
    who = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", *who, f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]


def test_the_app_runs_as_an_unprivileged_user(environment, as_nobody, tmp_path):
    assert subprocess.run([*as_nobody, "touch", tmp_path / "home" / "x"], check=False, capture_output=True).returncode
    song = write_audio(tmp_path / "song.wav", [music(4)], "pcm_s16le")
    command = [*as_nobody, "env", f"--chdir={ROOT}", *json.loads(INSTRUCTIONS["CMD"])]
    with running_app(ROOT, environment, tmp_path, command) as address:
        visitor = Visitor(address)
        assert visitor.classify(visitor.upload(song))["seconds"] == pytest.approx(4, abs=0.01)
        assert check(address, environment).returncode == 0
    assert check(address, environment).returncode != 0
    assert not list((tmp_path / "home").iterdir())
    assert "Traceback" not in (tmp_path / "log").read_text()


def check(address, environment):
    """The health check, on the port of the test."""
    command = [argument.replace("127.0.0.1:7860", address.removeprefix("http://")) for argument in CHECK]
    assert command != CHECK
    return subprocess.run(command, env=environment, capture_output=True, check=False)


def test_the_image_contains_the_app():
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert INSTRUCTIONS["USER"] != "root"
    assert not {"app.py", "genre", "checkpoints", "examples"} & set(left_out)
