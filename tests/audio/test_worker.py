import os
import resource
import signal
from pathlib import Path

import av
import numpy as np
import pytest

from genre.audio import decode, worker
from genre.audio.audio import Audio
from genre.audio.folders import Tags, read_tags
from genre.errors import AudioError
from tests.conftest import RATE, music, tone, write_audio


@pytest.fixture
def long_file(tmp_path):
    """Longer than the buffer of a pipe."""
    return write_audio(tmp_path / "long.wav", [music(40)], "pcm_s16le")


@pytest.fixture
def short_file(tmp_path):
    return write_audio(tmp_path / "short.wav", [tone(1)], "pcm_s16le")


def test_a_worker_decodes_to_the_same_pieces(long_file):
    excerpt = {"start": 1.5, "seconds": 12.25}
    here, there = list(decode.stream(long_file, 22050, **excerpt)), list(Audio(long_file).pieces(22050, **excerpt))
    assert [len(piece) for piece in there] == [len(piece) for piece in here]
    np.testing.assert_array_equal(np.concatenate(there), np.concatenate(here))


def test_an_undecodable_file_raises_and_the_worker_is_reused(tmp_path, short_file):
    (tmp_path / "text.mp3").write_text("This is a shopping list.")
    process = _decode(short_file)
    with pytest.raises(AudioError, match="not an audio file"):
        Audio(tmp_path / "text.mp3").samples(RATE)
    assert _decode(short_file) is process


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP]
)  # a stopped process simulates an endless loop
def test_a_worker_that_crashes_or_hangs_is_replaced(long_file, short_file, monkeypatch, number):
    process = _decode(short_file)
    monkeypatch.setattr(worker, "TIMEOUT_SECONDS", 1)
    pieces = Audio(long_file).pieces(RATE)  # it is decoding, not sending, at the signal
    next(pieces)
    os.kill(process.pid, number)
    with pytest.raises(AudioError, match=worker.BROKEN_OFF):
        list(pieces)
    assert process.returncode is not None
    monkeypatch.undo()
    assert _decode(short_file) is not process


def test_a_worker_reads_the_same_tags_and_none_of_other_files(tmp_path, short_file):
    tagged = tmp_path / "tagged.flac"
    with av.open(str(tagged), "w") as container:
        container.metadata["artist"] = "The “Same” <b>"
        sound = container.add_stream("flac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    (tmp_path / "text.mp3").write_text("This is a shopping list.")
    process = _decode(short_file)
    assert Audio(tagged).tags == read_tags(tagged) == Tags("the “same” <b>", "artist", 1.0)
    assert Audio(tmp_path / "text.mp3").tags == Audio(tmp_path / "nowhere.mp3").tags == Tags()
    assert _decode(short_file) is process


def test_a_worker_does_not_import_torch(short_file):
    """It would take ten times the memory."""
    libraries = Path(f"/proc/{_decode(short_file).pid}/maps")
    if not libraries.exists():
        pytest.skip("this system has no list of loaded libraries")
    assert "libav" in libraries.read_text()
    assert "torch" not in libraries.read_text()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system has no limits of processes")
def test_a_worker_has_limits(short_file):
    pid = _decode(short_file).pid
    assert resource.prlimit(pid, resource.RLIMIT_DATA) == (worker.MAX_MEMORY, worker.MAX_MEMORY)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)


def test_a_worker_that_died_while_idle_is_replaced(short_file):
    process = _decode(short_file)
    process.kill()
    process.wait()
    assert _decode(short_file) is not process


def test_a_worker_is_stopped_when_its_stream_is_closed(long_file, short_file):
    process = _decode(short_file)
    pieces = Audio(long_file).pieces(RATE)
    next(pieces)
    pieces.close()
    assert process.returncode is not None


@pytest.mark.skipif(not hasattr(os, "getpgid"), reason="this system has no groups of processes")
def test_ctrl_c_does_not_reach_a_worker(short_file):
    """A terminal sends it to the group of the program; a file that is being decoded would count as damaged."""
    assert os.getpgid(_decode(short_file).pid) != os.getpgid(0)


def _decode(path):
    """Decode one second and return the process that did."""
    assert len(Audio(path).samples(RATE)) == RATE
    return worker._idle[-1].process
