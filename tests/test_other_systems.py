"""Windows, simulated: the app without the modules of the standard library that only Unix has."""

import ctypes
import os
import subprocess
import sys

from genre.audio import worker
from genre.models.model import keep_freed_memory
from tests.conftest import ROOT, music, write_audio

ABSENT = "resource", "fcntl"
SITE = f"import sys\nsys.modules.update(dict.fromkeys({ABSENT}))\n"  # with None an import fails, in workers too
PROGRAM = """
import sys

import app
from genre.audio import worker
from genre.audio.audio import Audio
from genre.errors import AudioError

absent, song = sys.argv[1].split(), sys.argv[2]
assert all(sys.modules[name] is None for name in absent)

print("samples", len(Audio(song).samples(16000)))
(before,) = worker._idle
pieces = Audio(song).pieces(16000)
next(pieces)
before.process.kill()
try:
    list(pieces)
except AudioError as error:
    print(error)
print("samples", len(Audio(song).samples(16000)))
assert worker._idle != [before]
"""


def test_the_app_and_its_decoder_work_without_the_modules_of_unix(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SITE)
    song = write_audio(tmp_path / "song.wav", [music(90, 16000)], "pcm_s16le", rate=16000)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, " ".join(ABSENT), song],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path / "uploads")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "samples 1440000",
        worker.BROKEN_OFF,
        "samples 1440000",
    ]


def test_a_system_without_mallopt_is_not_changed(monkeypatch):
    def on_windows(name):
        raise TypeError("bad argument type for built-in operation")

    for load in (on_windows, lambda name: object()):
        monkeypatch.setattr(ctypes, "CDLL", load)
        keep_freed_memory()
        keep_freed_memory(everything=True)
