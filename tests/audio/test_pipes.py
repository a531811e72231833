import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from genre.audio import pipes
from genre.audio.pipes import as_file
from genre.errors import AudioError
from tests.conftest import ROOT

SOUND = bytes(range(256)) * 1000
PROGRAM = """
import sys
from pathlib import Path
from genre.errors import AudioError
from genre.audio.pipes import as_file
try:
    with as_file(Path(sys.argv[1])) as file:
        print(len(file.read_bytes()))
except AudioError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files, which is empty after each test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "song.mp3"
    os.mkfifo(path)
    return path


class Writer:
    """Has a FIFO open for writing; `after` some seconds it writes and closes it."""

    def __init__(self, fifo, content=None, after=0.0):
        self.end = os.open(fifo, os.O_RDWR)
        self.content, self.after = content, after

    def __enter__(self):
        if self.content is not None:
            self.thread = threading.Thread(target=self._write)
            self.thread.start()

    def _write(self):
        time.sleep(self.after)
        with os.fdopen(self.end, "wb") as file:
            file.write(self.content)

    def __exit__(self, *_):
        if self.content is None:
            os.close(self.end)
        else:
            self.thread.join()


def test_a_file_is_not_copied(tmp_path):
    (tmp_path / "song.mp3").write_bytes(SOUND)
    for path in (tmp_path / "song.mp3", tmp_path / "missing.mp3", tmp_path):
        with as_file(path) as file:
            assert file == path


@pytest.mark.parametrize("after", [0, 0.5], ids=["at once", "late"])
def test_a_fifo_is_read_to_its_end(fifo, monkeypatch, after):
    monkeypatch.setattr(pipes, "NO_WRITER_SECONDS", 0.1)
    with Writer(fifo, SOUND, after), as_file(fifo) as file:
        assert file.read_bytes() == SOUND


def test_the_copy_is_deleted_after_an_error(fifo, temporary):
    with Writer(fifo, SOUND), pytest.raises(ZeroDivisionError), as_file(fifo):
        assert len(list(temporary.iterdir())) == 1
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("content", "after", "settings", "sentence"),
    [
        (None, 0, {"NO_WRITER_SECONDS": 0.1, "PAUSE_SECONDS": 0.2}, "^Nothing came through this pipe for 0.2 seconds."),
        (b"", 0.3, {}, r"^Nothing came through this pipe\.$"),
        (SOUND, 0, {"MAX_BYTES": len(SOUND) - 1}, r"^More than .* GiB came through this pipe; save it as a file\.$"),
    ],
    ids=["silent", "empty", "too much"],
)
def test_a_pipe_without_a_file_raises(fifo, monkeypatch, content, after, settings, sentence):
    for name, value in settings.items():
        monkeypatch.setattr(pipes, name, value)
    with Writer(fifo, content, after), pytest.raises(AudioError, match=sentence), as_file(fifo):
        pass


def test_a_fifo_without_a_writer_times_out(fifo, monkeypatch):
    monkeypatch.setattr(pipes, "NO_WRITER_SECONDS", 0.1)
    with pytest.raises(AudioError, match=r"Nobody has opened this pipe for writing for 0.1 seconds\."), as_file(fifo):
        pass


def test_a_missing_temporary_folder_raises(fifo, temporary):
    temporary.rmdir()
    with Writer(fifo), pytest.raises(AudioError, match="cannot be read into a temporary file: No such"), as_file(fifo):
        pass


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_devices_are_refused(device):
    with pytest.raises(AudioError, match=r"^This is neither a file nor a pipe\.$"), as_file(Path(device)):
        pass


def read_stdin(name, **options):
    command = [sys.executable, "-c", PROGRAM, name]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, **options).stdout.decode().strip()


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(tmp_path, name):
    assert read_stdin(name, input=SOUND) == str(len(SOUND))
    assert read_stdin(name, input=b"") == "Nothing came through this pipe."
    assert read_stdin(name, stdin=subprocess.DEVNULL) == "Standard input is neither a file nor a pipe."
    (tmp_path / "song.mp3").write_bytes(SOUND)
    with (tmp_path / "song.mp3").open("rb") as file:
        assert read_stdin(name, stdin=file) == str(len(SOUND))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(SOUND[:1000])
        ours.shutdown(socket.SHUT_WR)
        assert read_stdin(name, stdin=theirs) == "1000"


def test_standard_input_that_is_closed():
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" - <&-', sys.executable, PROGRAM], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout == b"Standard input is closed.\n"
