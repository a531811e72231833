import json
import os
import shutil
import subprocess
import sys

import httpx
import pytest

from genre.web import snippets

HOSTILE = ['it\'s a "song" $(date) `x`;,\\.mp3', "-rf.mp3", "café ünïcode.mp3"]


@pytest.fixture
def folder(tmp_path, example):
    for name in HOSTILE:
        shutil.copy(example, tmp_path / name)
    return tmp_path


def run(command, folder):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_snippet_runs(server, folder):
    (folder / "broken.mp3").write_text("milk, bread")
    printed = run([sys.executable, "-c", snippets.python(server, [*HOSTILE, "broken.mp3"])], folder)
    assert "\nElectronic 0." in printed
    assert all(f"\n{name} Electronic\n" in printed for name in HOSTILE)
    assert "This is not an audio file that can be read" in printed


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("sh")), reason="no curl, or no shell, on this machine")
def test_the_curl_snippet_runs(server, folder):
    printed = run(["sh", "-c", snippets.curl(server, HOSTILE)], folder)
    answers = [json.loads(line.removeprefix("data: ")) for line in printed.splitlines() if line.startswith("data: {")]
    answers += [a for line in printed.splitlines() if line.startswith("data: [") for a in json.loads(line[6:])]
    assert [answer["genre"] for answer in answers] == ["Electronic"] * len(HOSTILE)


def test_the_mcp_server_of_the_snippet_responds(server):
    address = json.loads(snippets.mcp(server))["mcpServers"]["genre"]["url"]
    hello = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    headers = {"Accept": "application/json, text/event-stream"}
    answer = httpx.post(address, json=request, headers=headers, timeout=30, follow_redirects=True)
    assert answer.status_code == 200
    assert "serverInfo" in answer.text
