"""What makes the repository a Space: front matter, upload by `hf`, hardware with and without ZeroGPU."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gradio
import pytest
from huggingface_hub import SpaceCard, SpaceCardData

from tests.conftest import ROOT
from tests.hub_server import OWNER, running_hub

# https://huggingface.co/docs/hub/spaces-config-reference
DOCUMENTED = set(
    "title emoji colorFrom colorTo sdk python_version sdk_version suggested_hardware suggested_storage app_file "
    "app_build_command app_port base_path fullWidth header short_description models datasets tags thumbnail pinned "
    "hf_oauth hf_oauth_scopes hf_oauth_expiration_minutes hf_oauth_authorized_org disable_embedding license "
    "startup_duration_timeout custom_headers preload_from_hub".split()
)
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def check_front_matter(text: str) -> None:
    data = SpaceCard(text).data
    assert isinstance(data, SpaceCardData) and set(data.to_dict()) <= DOCUMENTED
    assert data.sdk == "gradio" and data.sdk_version == gradio.__version__ and (ROOT / data.app_file).is_file()
    assert {data["colorFrom"], data["colorTo"]} <= COLOURS
    assert re.fullmatch(r"3\.\d+", data.python_version) and len(data["short_description"]) <= 60


def test_the_front_matter_has_documented_keys():
    check_front_matter((ROOT / "README.md").read_text(encoding="utf-8"))


def test_hf_uploads_the_repository_as_the_readme_says(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^hf (?:repos create|upload) .+$", readme, re.MULTILINE)
    assert len(commands) == 2
    for name in ("README.md", "app.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("genre", "checkpoints"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    hf = Path(sys.executable).with_name("hf")
    with running_hub() as hub:
        settings = {"HF_ENDPOINT": hub.url, "HF_TOKEN": OWNER, "HF_HOME": str(tmp_path.parent), "HF_HUB_OFFLINE": "0"}
        for command in commands:
            words = [str(hf), *command.split()[1:]]
            environment = os.environ | settings | {"HF_HUB_DISABLE_XET": "1"}  # the local Hub has only Git LFS
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        (repo,) = (repo for (kind, _), repo in hub.repos.items() if kind == "spaces")
    files = repo.files()
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert files[path.relative_to(tmp_path).as_posix()] == path.read_bytes()
    check_front_matter(files["README.md"].decode())


@pytest.mark.parametrize("zero", [True, False], ids=["ZeroGPU", "CPU"])
def test_the_page_starts_with_and_without_zerogpu(tmp_path, zero):
    """ZeroGPU ends a Space that decorates no function by spaces.GPU."""
    if zero:
        (tmp_path / "spaces.py").write_text(
            "def GPU(function):\n    print('decorated')\n    return function\n\n\ngradio_auto_wrap = lambda one: one\n"
        )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    code = "import app, torch; print(torch.cuda.is_initialized())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == (["decorated"] if zero else []) + ["False"], done.stderr
