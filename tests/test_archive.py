import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from genre import archive
from genre.archive import THERE, build_archive
from genre.data import FORMATS, Windows, read_index
from genre.errors import DataError
from genre.frontend import FRONT_ENDS
from genre.sources import Source
from tests.conftest import ROOT, tone, write_audio


@pytest.fixture
def sources(tmp_path, fma_clips):
    """Two FMA clips, a tone and two files that cannot be used."""
    (tmp_path / "audio").mkdir()
    broken, quiet = tmp_path / "audio" / "broken.mp3", tmp_path / "audio" / "quiet.wav"
    broken.write_text("no music")
    write_audio(quiet, [np.zeros(44100, np.float32)], "pcm_s16le")
    steady = write_audio(tmp_path / "audio" / "tone.wav", [tone(10)], "pcm_s16le")
    paths = [fma_clips[2], broken, steady, quiet, fma_clips[140]]
    return [Source(path, 0.0, str(i), "Folk" if i % 2 else "Rock", "training") for i, path in enumerate(paths)]


@pytest.mark.parametrize("front_end", FORMATS)
def test_audio_becomes_arrays_that_training_reads(tmp_path, sources, front_end, capsys):
    build_archive(sources, front_end, tmp_path / "archive", processes=2)
    assert "2 of 5 clips could not be read" in capsys.readouterr().out
    index = read_index(tmp_path / "archive")
    assert index.dropped == ["1", "3"]
    windows = Windows(index, "training", front_end)
    config = FRONT_ENDS[front_end]
    every = windows.all(np.arange(3))
    assert every.shape == (3, len(windows.starts), config.bands, config.columns)
    assert every.isfinite().all()
    if config.n_mfcc is None:  # the tone is where it belongs, and the short clip is repeated rather than padded
        filters = windows.log_mel.mel.filters
        for window in (0, -1):
            loudest = every[1, window].mean(dim=1).argmax().item()
            peak = filters[loudest].argmax().item() * config.sample_rate / config.n_fft
            assert peak == pytest.approx(440, abs=config.sample_rate / config.n_fft + 1)


def test_a_finished_archive_is_not_made_again(tmp_path, sources, monkeypatch):
    build_archive(sources, "sparse", tmp_path / "archive", processes=1)
    monkeypatch.setattr(archive, "_run", lambda clips, processes: iter([]) if not clips else pytest.fail("again"))
    build_archive(sources, "sparse", tmp_path / "archive")


def test_an_archive_of_something_else_is_refused(tmp_path, sources, monkeypatch):
    build_archive(sources, "sparse", tmp_path / "archive", processes=1)
    with pytest.raises(DataError, match="made with other clips"):
        build_archive(sources[:-1], "sparse", tmp_path / "archive")
    monkeypatch.setitem(FRONT_ENDS, "sparse", replace(FRONT_ENDS["sparse"], top_db=60.0))
    with pytest.raises(DataError, match="made with other sparse settings"):
        build_archive(sources, "sparse", tmp_path / "archive")


def test_nothing_readable_is_said(tmp_path, sources):
    with pytest.raises(DataError, match="None of the 2 clips"):
        build_archive([sources[1], sources[3]], "sparse", tmp_path / "archive", processes=1)


BUILD = """
import sys
from pathlib import Path
from genre.archive import build_archive
from genre.sources import Source
if __name__ == "__main__":
    sources = [Source(Path(sys.argv[1]), i / 10, str(i), "Rock", "training") for i in range(60)]
    build_archive(sources, "sparse", Path(sys.argv[2]), processes=2)
"""


def test_a_killed_run_ends_with_the_same_archive(tmp_path, fma_clips):
    (tmp_path / "build.py").write_text(BUILD)

    def start(folder):
        command = [sys.executable, str(tmp_path / "build.py"), str(fma_clips[2]), str(folder)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait(120) == 0
    process, done = start(tmp_path / "killed"), tmp_path / "killed" / "sparse.done.npy"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (done.is_file() and (np.load(done) == THERE).sum() >= 5):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)
    assert 5 <= (np.load(done) == THERE).sum() < 60
    assert not (tmp_path / "killed" / "index.csv").exists()

    assert start(tmp_path / "killed").wait(120) == 0
    for name in (FORMATS["sparse"].file, "sparse.done.npy", "index.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
