"""Recordings from files, pipes, bytes and samples in memory."""

import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import wave

import numpy as np
import pytest

from genre.audio import audio
from genre.audio.audio import Audio
from genre.audio.folders import Tags
from genre.errors import AudioError
from tests.conftest import RATE, ROOT, music, write_audio


def wav(samples):
    """Bytes of a file with so many samples of noise."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(np.random.default_rng(0).integers(-9999, 9999, samples, np.int16).tobytes())
    return file.getvalue()


SOUND = wav(3 * RATE)  # more than the buffer of a pipe holds
PROGRAM = """
import sys
from genre.errors import AudioError
from genre.audio.audio import Audio
try:
    print(len(Audio(sys.argv[1]).samples(44100)))
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


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "file object"])
def test_sources_of_a_file_give_the_same_samples(tmp_path, kind):
    path = tmp_path / "song.wav"
    path.write_bytes(SOUND)
    with path.open("rb") as file:
        recording = Audio({"path": path, "text": str(path), "bytes": SOUND, "file object": file}[kind])
        np.testing.assert_array_equal(recording.samples(RATE), np.frombuffer(SOUND[44:], np.int16) / np.float32(2**15))
    assert recording.name == ("song.wav" if kind in ("path", "text") else "")


def test_tags_and_notes(tmp_path):
    sound = music(4)
    path = write_audio(tmp_path / "inverted.wav", [sound, -sound], "pcm_s16le")
    recording = Audio(path)
    assert recording.tags == Tags(seconds=4.0)
    for _ in range(2):
        recording.samples(RATE)
        assert recording.notes == ["The channels cancel each other, so one of them was used."]
    in_memory = Audio(np.stack([sound, -sound]), RATE)
    in_memory.samples(RATE)
    assert (in_memory.tags, in_memory.notes) == (Tags(), recording.notes)
    assert Audio(tmp_path / "missing.mp3").tags == Tags()


@pytest.mark.parametrize("after", [0, 0.5], ids=["at once", "late"])
def test_a_fifo_is_read_to_its_end(fifo, monkeypatch, after):
    monkeypatch.setattr(audio, "NO_WRITER_SECONDS", 0.1)
    recording = Audio(fifo)
    with Writer(fifo, SOUND, after):
        whole = recording.samples(RATE)
    assert len(whole) == 3 * RATE
    np.testing.assert_array_equal(recording.samples(RATE, start=1, seconds=1), whole[RATE : 2 * RATE])  # read again


@pytest.mark.parametrize(
    ("content", "after", "settings", "sentence"),
    [
        (None, 0, {"NO_WRITER_SECONDS": 0.1, "PAUSE_SECONDS": 0.2}, "^Nothing came through this pipe for 0.2 seconds."),
        (b"", 0.3, {}, r"^Nothing came through this pipe\.$"),
        (SOUND, 0, {"MAX_BYTES": len(SOUND) - 1}, r"^More than .* GiB came through this pipe; save it as a file\.$"),
    ],
    ids=["silent", "empty", "too much"],
)
def test_a_pipe_without_a_file_raises(fifo, temporary, monkeypatch, content, after, settings, sentence):
    for name, value in settings.items():
        monkeypatch.setattr(audio, name, value)
    recording = Audio(fifo)
    with Writer(fifo, content, after), pytest.raises(AudioError, match=sentence):
        recording.samples(RATE)
    assert list(temporary.iterdir()) == []


def test_a_fifo_without_a_writer_times_out(fifo, monkeypatch):
    monkeypatch.setattr(audio, "NO_WRITER_SECONDS", 0.1)
    with pytest.raises(AudioError, match=r"Nobody has opened this pipe for writing for 0.1 seconds\."):
        Audio(fifo).samples(RATE)


def test_a_missing_temporary_folder_raises(fifo, temporary):
    temporary.rmdir()
    with Writer(fifo), pytest.raises(AudioError, match="cannot be read into a temporary file: No such"):
        Audio(fifo).samples(RATE)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_devices_are_refused(device):
    with pytest.raises(AudioError, match=r"^This is neither a file nor a pipe\.$"):
        Audio(device).samples(RATE)


def read_stdin(name, **options):
    command = [sys.executable, "-c", PROGRAM, name]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, **options).stdout.decode().strip()


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(tmp_path, name):
    assert read_stdin(name, input=SOUND) == str(3 * RATE)
    assert read_stdin(name, input=b"") == "Nothing came through this pipe."
    assert read_stdin(name, stdin=subprocess.DEVNULL) == "Standard input is neither a file nor a pipe."
    (tmp_path / "song.wav").write_bytes(SOUND)
    with (tmp_path / "song.wav").open("rb") as file:
        assert read_stdin(name, stdin=file) == str(3 * RATE)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(wav(5000))
        ours.shutdown(socket.SHUT_WR)
        assert read_stdin(name, stdin=theirs) == "5000"


def test_standard_input_that_is_closed():
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" - <&-', sys.executable, PROGRAM], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout == b"Standard input is closed.\n"
