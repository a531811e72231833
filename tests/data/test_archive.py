import csv
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from genre.audio.audio import Audio
from genre.data import archive, musicnn
from genre.data.archive import STORED, UNREADABLE, UNREADABLE_NOTE, augment_archive, build_archive, teach_archive
from genre.data.dataset import Source
from genre.data.musicnn import MusiCNN, load_musicnn
from genre.data.sources import AudioClip
from genre.data.windows import FORMATS, Windows, stored_as
from genre.errors import DataError
from genre.features.log_mel import FRONT_ENDS
from tests.conftest import ROOT, tone, write_audio


@pytest.fixture
def clips(tmp_path, fma_clips):
    """Two FMA clips, a tone and two files that cannot be used."""
    (tmp_path / "audio").mkdir()
    broken, quiet = tmp_path / "audio" / "broken.mp3", tmp_path / "audio" / "quiet.wav"
    broken.write_text("no music")
    write_audio(quiet, [np.zeros(44100, np.float32)], "pcm_s16le")
    steady = write_audio(tmp_path / "audio" / "tone.wav", [tone(10)], "pcm_s16le")
    paths = [fma_clips[2], broken, steady, quiet, fma_clips[140]]
    return [AudioClip(path, 0.0, str(i), "Rock", f"artist {i}") for i, path in enumerate(paths)]


def read_rows(folder):
    with (folder / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def source_of(folder, rows, augmented_copies=0):
    """A source with these rows as training tracks."""
    labels, splits = np.zeros(len(rows), int), np.array(["training"] * len(rows))
    names = [str(row) for row in rows]
    return Source("audio", folder, names, np.array(rows), labels, splits, names, names, [], augmented_copies)


@pytest.mark.parametrize("front_end", FORMATS)
def test_audio_becomes_arrays_that_training_reads(tmp_path, clips, front_end, capsys):
    build_archive(clips, [stored_as(front_end)], tmp_path / "archive")
    assert "2 of 5 clips could not be read" in capsys.readouterr().out
    assert [row["note"] for row in read_rows(tmp_path / "archive")] == ["", UNREADABLE_NOTE, "", UNREADABLE_NOTE, ""]
    windows = Windows(source_of(tmp_path / "archive", [0, 2, 4]), "training", front_end)
    config = FRONT_ENDS[front_end]
    every = windows.all(np.arange(3))
    assert every.shape == (3, len(windows.starts), config.bands, config.columns)
    assert len(windows.starts) == (1 if front_end == "whole" else 10)
    assert every.isfinite().all()
    if config.n_mfcc is None:  # the tone is in its band, also in the last window, since short clips are repeated
        filters = windows.log_mel.mel.filters.T
        for window in (0, -1):
            loudest = every[1, window].mean(dim=1).argmax().item()
            peak = filters[loudest].argmax().item() * config.sample_rate / config.n_fft
            assert peak == pytest.approx(440, abs=config.sample_rate / config.n_fft + 1)


@pytest.mark.parametrize("file", ["sparse.json", "clips.json", "any.npy"])
@pytest.mark.parametrize("content", [b"", bytes(4096), b'{"keys": ["a'])
def test_a_damaged_archive_is_named_with_the_way_on(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=f"^The archive {tmp_path} is damaged; remove it, "):
        build_archive([AudioClip(tmp_path / "song.mp3", 0.0, "1", "Rock", "artist")], ["sparse"], tmp_path)


def test_only_unreadable_clips_of_a_finished_archive_are_decoded_again(tmp_path, clips, monkeypatch):
    build_archive(clips, ["sparse"], tmp_path / "archive")
    write_audio(clips[1].path.with_suffix(".wav"), [tone(5)], "pcm_s16le").replace(clips[1].path)
    decoded = []
    features = archive.clip_features
    monkeypatch.setattr(archive, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(archive, "clip_features", lambda path, *more: decoded.append(path) or features(path, *more))
    build_archive(clips, ["sparse"], tmp_path / "archive")
    assert decoded == [clips[1].path, clips[3].path]  # the repaired and the silent one
    assert [bool(row["note"]) for row in read_rows(tmp_path / "archive")] == [False, False, False, True, False]


def test_other_songs_under_the_same_names_are_decoded_anew(tmp_path, clips):
    build_archive(clips, ["sparse"], tmp_path / "archive")
    array = tmp_path / "archive" / FORMATS["sparse"].file
    before = np.load(array)
    write_audio(clips[2].path, [tone(10, 2000)], "pcm_s16le")
    build_archive([*clips[2:], clips[0]], ["sparse"], tmp_path / "archive")
    after = np.load(array)
    assert (after[2] == before[4]).all() and (after[3] == before[0]).all()
    assert after[0].mean(axis=1).argmax() > before[2].mean(axis=1).argmax()


def test_an_archive_with_other_settings_is_refused(tmp_path, clips, monkeypatch):
    build_archive(clips, ["sparse"], tmp_path / "archive")
    monkeypatch.setitem(FRONT_ENDS, "sparse", replace(FRONT_ENDS["sparse"], top_db=60.0))
    with pytest.raises(DataError, match="made with other sparse settings"):
        build_archive(clips, ["sparse"], tmp_path / "archive")


def test_a_teacher_hears_the_clips_that_it_is_given_and_training_reads_what_it_says(tmp_path, clips):
    torch.manual_seed(0)
    weights, folder = tmp_path / "musicnn.safetensors", tmp_path / "archive"
    save_file(MusiCNN().state_dict(), weights)
    build_archive(clips, ["sparse"], folder)
    teach_archive(clips, np.array([0, 2]), weights, folder)
    taught = Windows(source_of(folder, [0, 2, 4]), "training", "sparse").teachers["musicnn.npy"]
    assert taught.shape == (3, 10, 250) and np.isnan(taught[2]).all()
    waveform = torch.from_numpy(Audio(clips[0].path).samples(musicnn.SAMPLE_RATE, seconds=30))
    np.testing.assert_allclose(taught[0], load_musicnn(weights).clip(waveform).numpy(), atol=2e-3)
    assert np.isfinite(taught[1]).all()  # of 10 s, which are repeated
    with pytest.raises(DataError, match="holds no weights of MusiCNN"):
        teach_archive(clips, np.array([0]), clips[1].path, folder)


def drawn_rows(folder, row, augmented_copies, split="training"):
    """Stored clips from which windows of a row are drawn: "original" or the number of a copy."""
    source = replace(source_of(folder, [row], augmented_copies), splits=np.array([split]))
    windows = Windows(source, split, "whole")  # its window is the clip
    stored = {"original": windows.array[row]}
    if (folder / "logmel_30s_augmented.npy").is_file():
        stored |= dict(enumerate(np.load(folder / "logmel_30s_augmented.npy")[row]))
    drawn = windows.random(np.zeros(64, int), np.zeros(64, int), np.random.default_rng(0))
    images = {name: windows._cut([clip], np.zeros(1, int))[0] for name, clip in stored.items()}
    return {name for name, image in images.items() if (drawn == image).all(dim=(1, 2)).any()}


def test_as_many_copies_are_drawn_as_are_wanted_and_stored(tmp_path, clips):
    folder, rows = tmp_path / "archive", np.array([0, 4])
    build_archive(clips, ["sparse"], folder)
    augment_archive(clips, rows, ["sparse"], 2, folder)
    assert drawn_rows(folder, 0, augmented_copies=0) == {"original"}
    assert drawn_rows(folder, 0, augmented_copies=1) == {"original", 0}
    assert drawn_rows(folder, 0, augmented_copies=2) == {"original", 0, 1}
    assert drawn_rows(folder, 0, augmented_copies=2, split="validation") == {"original"}
    done = np.load(folder / "sparse_augmented.done.npy", mmap_mode="r+")
    done[0, 1] = UNREADABLE
    done.flush()
    assert drawn_rows(folder, 0, augmented_copies=2) == {"original", 0}
    assert drawn_rows(folder, 4, augmented_copies=2) == {"original", 0, 1}
    augment_archive(clips, rows, ["sparse"], 2, folder)
    assert drawn_rows(folder, 0, augmented_copies=2) == {"original", 0, 1}


def test_an_archive_without_readable_clips_raises(tmp_path, clips):
    with pytest.raises(DataError, match="None of the 2 clips"):
        build_archive([clips[1], clips[3]], ["sparse"], tmp_path / "archive")


BUILD = """
import sys
from pathlib import Path
from genre.data.archive import build_archive
from genre.data.sources import AudioClip
if __name__ == "__main__":
    clips = [AudioClip(Path(sys.argv[1]), i / 10, str(i), "Rock", "artist") for i in range(60)]
    build_archive(clips, ["sparse"], Path(sys.argv[2]))
"""


DYING = """
import os, signal
if __name__ == "__mp_main__":  # as in every process of the pool
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_no_process_and_ends_with_the_same_archive(tmp_path, fma_clips):
    (tmp_path / "build.py").write_text(BUILD)

    def start(folder):
        command = [sys.executable, str(tmp_path / "build.py"), str(fma_clips[2]), str(folder)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait(120) == 0
    process, done = start(tmp_path / "killed"), tmp_path / "killed" / "sparse.done.npy"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (done.is_file() and (np.load(done) == STORED).sum() >= 5):
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=20)  # returns once the last process that has its output open is gone
    assert 5 <= (np.load(done) == STORED).sum() < 60
    assert not (tmp_path / "killed" / "index.csv").exists()

    assert start(tmp_path / "killed").wait(120) == 0
    for name in (FORMATS["sparse"].file, "sparse.done.npy", "index.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_decoding_process_that_is_killed_is_one_sentence(tmp_path, example):
    (tmp_path / "build.py").write_text(DYING + BUILD)
    command = [sys.executable, str(tmp_path / "build.py"), str(example), str(tmp_path / "archive")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "DataError: A decoding process was ended by the system" in done.stderr


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system has no such call")
def test_a_full_disk_raises_before_anything_is_written(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            archive._new_array(tmp_path / "large.npy", "uint8", (2**20,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
