"""Files for download: where they are, and what stays out of them."""

import json
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from genre.errors import AudioError
from genre.inference.prediction import Prediction, Window
from genre.web import batch, song, uploads
from genre.web.batch import Song
from genre.web.uploads import PlaybackCopy
from tests.conftest import music, write_audio

LABELS = ["Folk", "Rock"]
FOLK = {"Folk": 0.9, "Rock": 0.1}
PREDICTION = Prediction(FOLK, [Window(3 * i, 3 * i + 3, FOLK) for i in range(5)], 15.0, "made-up")
IMAGE = Image.new("RGB", (300, 128))


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The folder of uploads."""
    monkeypatch.setattr(uploads, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["song.mp3", "..", "../../x.mp3", "a\0b\ud800.mp3", "é" * 300, "", "CON"])
def test_files_of_a_song_are_in_a_folder_of_their_own_and_deleted_within_the_hour(folder, monkeypatch, name):
    files = song.song_files(name, PREDICTION, IMAGE, LABELS, "https://example.org")
    assert len(files) == len({*files}) == 4
    assert {file.parent.parent for file in files} == {folder} and all(file.stat().st_size for file in files)
    (row,) = json.loads(files[1].read_text(encoding="utf-8"))
    assert row["genre"] == "Folk"
    uploads.sweep()
    assert all(file.exists() for file in files)
    later = time.time() + 3600
    monkeypatch.setattr(uploads.time, "time", lambda: later)
    uploads.sweep()
    assert list(folder.iterdir()) == []


def test_a_batch_leaves_out_pictures_that_have_been_deleted_and_songs_that_failed(folder):
    drawn = batch.picture_of("a.mp3", PREDICTION, IMAGE, LABELS, "")
    songs = [
        Song("1", "a.mp3", PREDICTION, drawn),
        Song("2", "B/a.mp3", replace(PREDICTION), Path("deleted.png")),
        Song("3", "c.mp3", AudioError("This file is empty.")),
        Song("4", "d.mp3", PREDICTION, None),
    ]
    *_, archive = batch.batch_files(songs, LABELS)
    with zipfile.ZipFile(archive) as files:
        assert files.namelist() == [
            *("a.mp3.labels.txt", "a.mp3.genre.png", "B - a.mp3.labels.txt", "d.mp3.labels.txt")
        ]
        assert files.read("a.mp3.genre.png") == drawn.read_bytes()
    assert batch.batch_files(songs[2:3], LABELS)[-1] is None


def test_a_playback_copy_goes_with_its_upload_and_leaves_nothing_of_its_beginning(folder):
    upload = folder / "hash" / "song.aiff"
    upload.parent.mkdir()
    write_audio(upload, [music(60)], "pcm_s16be")
    with PlaybackCopy(str(upload)) as abandoned:
        abandoned.begin()
    assert abandoned.ended.wait(120) and abandoned.file is None
    assert [path for path in folder.rglob("*") if path.is_file()] == [upload]

    with PlaybackCopy(str(upload)) as copy:
        copy.begin()
        assert copy.ended.wait(120)
    uploads.sweep()
    assert copy.file.exists()
    upload.unlink()
    uploads.sweep()
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_examples_stay_as_new_and_are_copied_again_where_they_are_missing(folder):
    first, second, *_ = uploads.examples()
    age = second.stat().st_ctime_ns
    first.unlink()
    uploads.examples()
    assert first.exists() and second.stat().st_ctime_ns > age
