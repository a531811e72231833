"""Downloads of one song and of a batch, read back."""

import csv
import io
import json
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from genre.__main__ import main
from genre.web import texts
from tests.browser.conftest import ON_DESKTOP
from tests.browser.test_batch import downloaded, drop, wait_until_done
from tests.browser.test_page import SECONDS, UPLOAD, wait_for_prediction
from tests.conftest import RATE, music, write_audio
from tests.inference.test_export import of_kind, parsed

pytestmark = ON_DESKTOP

CSV, JSON, LABELS, PICTURE = texts.SONG_DOWNLOADS
NAME = "Jóga (live) 100% #1"  # of which addresses would give "%" and "#" a meaning
SAFE_NAME = "Jóga (live) 100_ _1"


@pytest.fixture
def song(tmp_path):
    return write_audio(tmp_path / f"{NAME}.wav", [music(40)], "pcm_s16le", rate=RATE)


def test_a_song_is_downloaded_in_each_format(page, song, tmp_path, capsys):
    page.set_input_files(UPLOAD, song)
    wait_for_prediction(page)
    expect(page.get_by_role("button", name=PICTURE)).to_be_enabled(timeout=SECONDS)
    table, everything, track, image = (downloaded(page, name, tmp_path / "got") for name in texts.SONG_DOWNLOADS)
    assert {path.name for path in (table, everything, track, image)} == {
        f"{SAFE_NAME}{suffix}" for suffix in (".windows.csv", ".json", ".labels.txt", ".genre.png")
    }
    assert main([str(song), "--json"]) == 0
    (expected,) = json.loads(capsys.readouterr().out)
    (given,) = json.loads(everything.read_text(encoding="utf-8"))
    assert given.pop("file") == song.name and expected.pop("file") == str(song)
    assert given == expected

    labels = parsed(track.read_text(encoding="utf-8"))
    sections = [(start, end, label.removeprefix("Section: ")) for start, end, label in of_kind(labels, "Section")]
    assert sum(end - start for start, end, _ in sections) == pytest.approx(40, abs=0.01)
    assert sections == [(one["start"], one["end"], one["genre"]) for one in given["sections"]]
    windows = [(one["start"], one["end"]) for one in given["windows"]]
    assert [label[:2] for label in of_kind(labels, "Window")] == windows
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
    assert [(float(one["start"]), float(one["end"])) for one in rows] == windows
    with Image.open(image) as picture:
        assert (picture.format, picture.size) == ("PNG", (1200, 630))

    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name=PICTURE)).to_be_disabled()


def test_downloads_work_by_keyboard(page, example):
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    button = page.get_by_role("button", name=LABELS)
    expect(button).to_be_enabled(timeout=SECONDS)
    button.focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "arpeggio.labels.txt"


def test_labels_and_pictures_of_a_batch_are_one_zip(page, example, song, tmp_path):
    page.get_by_role("tab", name=texts.BATCH_TAB).click()
    other = tmp_path / "other"
    other.mkdir()
    (other / song.name).write_bytes(example.read_bytes())
    (tmp_path / "broken.mp3").write_text("milk, bread")
    drop(page, song, other / song.name, tmp_path / "broken.mp3")
    wait_until_done(page)
    with zipfile.ZipFile(downloaded(page, texts.BATCH_DOWNLOADS[-1], tmp_path / "got")) as archive:
        names = [f"{SAFE_NAME}{song.suffix}", f"{SAFE_NAME}{song.suffix} 2"]
        tracks, pictures = ([f"{name}{suffix}" for name in names] for suffix in (".labels.txt", ".genre.png"))
        assert sorted(archive.namelist()) == sorted(tracks + pictures)
        labels = [parsed(archive.read(name).decode()) for name in tracks]
        for name in pictures:
            with Image.open(io.BytesIO(archive.read(name))) as picture:
                assert picture.size == (1200, 630)
    ends = [max(end for _, end, _ in of_kind(track, "Section")) for track in labels]
    assert ends == pytest.approx([40, 15], abs=0.01)
