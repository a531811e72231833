import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from genre.audio.decode import decode, worker
from genre.errors import AudioError
from tests.conftest import RATE, music, tone, write_audio
from tests.fuzz.lies import id3_header, many_tags


@pytest.fixture
def long_file(tmp_path):
    """More than fits into a pipe."""
    return write_audio(tmp_path / "long.wav", [music(20)], "pcm_s16le")


@pytest.fixture
def short_file(tmp_path):
    return write_audio(tmp_path / "short.wav", [tone(1)], "pcm_s16le")


def test_a_worker_gives_what_decoding_here_gives(long_file):
    asked = {"start": 1.5, "seconds": 12.25, "piece_seconds": 5}
    here, there = list(decode.stream(long_file, 22050, **asked)), list(worker.stream(long_file, 22050, **asked))
    assert [len(piece) for piece in there] == [len(piece) for piece in here]
    np.testing.assert_array_equal(np.concatenate(there), np.concatenate(here))


def test_what_cannot_be_heard_is_said_and_the_worker_goes_on(tmp_path, short_file):
    (tmp_path / "text.mp3").write_text("This is a shopping list.")
    process = _hear(short_file)
    with pytest.raises(AudioError, match="not an audio file"):
        list(worker.stream(tmp_path / "text.mp3", RATE))
    assert _hear(short_file) is process


@pytest.mark.parametrize(
    "blow", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP]
)  # a stopped one seems to loop forever
def test_a_file_that_takes_its_worker_down_is_refused_and_the_next_is_heard(long_file, short_file, monkeypatch, blow):
    process = _hear(short_file)
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 1)
    pieces = worker.stream(long_file, RATE, piece_seconds=10)  # it is decoding, not sending, when the signal comes
    next(pieces)
    os.kill(process.pid, blow)
    with pytest.raises(AudioError, match="damaged in a way that the decoder cannot cope with"):
        list(pieces)
    assert process.returncode is not None
    monkeypatch.undo()
    assert _hear(short_file) is not process


def test_a_file_that_would_take_hours_to_open_is_given_up(tmp_path, short_file, monkeypatch):
    """Tags of a few megabytes, over which FFmpeg takes time by the square of their number."""
    process, tags = _hear(short_file), many_tags(300_000)
    path = tmp_path / "tags.mp3"
    path.write_bytes(id3_header(len(tags)) + tags)
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 2)
    with pytest.raises(AudioError, match="damaged in a way that the decoder cannot cope with"):
        list(worker.stream(path, RATE))
    assert process.returncode is not None
    monkeypatch.undo()
    assert _hear(short_file) is not process


def test_a_worker_does_without_torch(short_file):
    """Which would take ten times the memory."""
    libraries = Path(f"/proc/{_hear(short_file).pid}/maps")
    if not libraries.exists():
        pytest.skip("this system does not say what a process has loaded")
    assert "libav" in libraries.read_text()
    assert "torch" not in libraries.read_text()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system does not tell the limits of a process")
def test_a_worker_is_bounded(short_file):
    pid = _hear(short_file).pid
    assert resource.prlimit(pid, resource.RLIMIT_DATA) == (worker.MAX_MEMORY, worker.MAX_MEMORY)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)


def test_a_worker_that_died_while_idle_is_replaced(short_file):
    process = _hear(short_file)
    process.kill()
    process.wait()
    assert _hear(short_file) is not process


def test_a_worker_whose_listener_left_is_stopped(long_file, short_file):
    process = _hear(short_file)
    pieces = worker.stream(long_file, RATE, piece_seconds=1)
    next(pieces)
    pieces.close()
    assert process.returncode is not None


def _hear(path):
    """Hear one second, and return the process that decoded it."""
    assert sum(map(len, worker.stream(path, RATE))) == RATE
    return worker._idle[-1].process
