import csv
import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from genre.web import texts
from genre.web.limits import MAX_FILE_SIZE
from tests.browser.conftest import ON_DESKTOP, UPLOAD, downloaded, fits
from tests.conftest import music, write_audio
from tests.inference.test_export import of_kind, parsed

NAMES = ["<b>x.mp3", "=1+1.wav", *(f"Song {i:02}.wav" for i in range(3, 19))]
BAD = {"broken.mp3": b"milk, bread", "empty.flac": b""}
OTHER_FILES = ["cover.jpg", ".DS_Store", "list.m3u", "notes.txt", "._Song 03.wav"]

# At one moment: some rows are done, one is being classified, and the list cannot be cleared.
WORKING = """() => {
    const rows = (kind) => document.querySelectorAll(`.songs tbody tr.${kind}`).length;
    const buttons = [...document.querySelectorAll("#batch button")];
    const clear = buttons.find((one) => one.innerText === "Clear the list");
    const progress = document.querySelector(".progress b")?.innerText;
    return rows("classified") > 0 && rows("current") === 1 && /^\\d+ of \\d+$/.test(progress) && clear.disabled;
}"""


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    """A folder of eighteen songs, two damaged ones, and other files."""
    folder = tmp_path_factory.mktemp("albums") / "Album"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        codec, rate = ("libmp3lame", 44100) if name.endswith("mp3") else ("pcm_s16le", 16000)
        write_audio(folder / name, [music(4 + number % 3, rate)], codec, rate=rate)
    for name, content in (BAD | dict.fromkeys(OTHER_FILES, b"x")).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def batch_page(page):
    page.get_by_role("tab", name="Several songs").click()
    page.locator("#songs-drop button").first.wait_for()
    return page


def drop(page, *files):
    page.set_input_files("#songs-drop input[type=file]", files)


def wait_until_done(page):
    """Until all songs are uploaded and classified; those that are there may be classified before the others come."""
    finished = re.compile(r"classified")
    expect(page.locator(".progress b")).to_have_text(finished)
    expect(page.locator("#batch .folder p")).not_to_contain_text("Uploading")
    expect(page.locator(".progress b")).to_have_text(finished)
    expect(page.get_by_role("button", name="Clear the list")).to_be_enabled()


def row(page, name):
    return page.locator(".songs tbody tr").filter(has=page.get_by_text(name, exact=True))


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_twenty_files_are_rows_that_open_and_are_downloaded(batch_page, album, tmp_path):
    page = batch_page
    drop(page, *(album / name for name in [*NAMES, *BAD]))
    page.wait_for_function(WORKING)
    assert fits(page)

    wait_until_done(page)
    expect(page.locator(".progress b")).to_have_text("18 songs classified, 2 could not be.")
    expect(row(page, "broken.mp3")).to_contain_text("This is not an audio file that can be read")
    expect(row(page, "empty.flac")).to_contain_text("This file is empty.")
    expect(page.locator(".songs tr.classified")).to_have_count(18)
    expect(row(page, "<b>x.mp3").locator(".confidence")).to_have_text(re.compile(r"^\d+%$"))
    assert page.locator(".songs b").count() == 0
    assert fits(page)

    genres, windows, everything, archive = (downloaded(page, name, tmp_path) for name in texts.BATCH_DOWNLOADS)
    rows = read_csv(genres)
    assert [one["file"] for one in rows] == ["<b>x.mp3", "'=1+1.wav", *NAMES[2:], *BAD]
    assert [bool(one["error"]) for one in rows] == [False] * 18 + [True] * 2
    content = json.loads(everything.read_text(encoding="utf-8"))
    assert [one["file"] for one in content] == [*NAMES, *BAD]
    assert [len(one["windows"]) for one in content[:3]] == [
        sum(one["file"].lstrip("'") == name for one in read_csv(windows)) for name in NAMES[:3]
    ]
    assert content[0]["windows"][0].keys() == {"start", "end", "silent", "probabilities"}
    assert content[18]["error"].startswith("This is not an audio file")
    with zipfile.ZipFile(archive) as file:
        assert len(file.namelist()) == 2 * 18
        labels = parsed(file.read("Song 03.wav.labels.txt").decode())
        assert max(end for _, end, _ in of_kind(labels, "Section")) == pytest.approx(6, abs=0.01)
        with Image.open(io.BytesIO(file.read("Song 03.wav.genre.png"))) as picture:
            assert picture.size == (1200, 630)

    row(page, "Song 03.wav").click()
    expect(page.locator("#batch-song h2.opened")).to_have_text("Song 03.wav")
    expect(page.locator("#batch-song .window")).to_have_count(2)
    expect(page.locator(".songs tr.open")).to_have_count(1)
    roll = page.locator("#batch-song .roll")
    page.wait_for_function("document.querySelector('#batch-song audio').readyState > 0")
    roll.click(position={"x": roll.bounding_box()["width"] * 0.5, "y": 30})
    expect(page.locator("#batch-song .why")).to_be_visible()
    assert fits(page)
    page.get_by_role("button", name="<b>x.mp3").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#batch-song h2.opened")).to_have_text("<b>x.mp3")
    expect(page.locator("#batch-song .why")).to_have_count(0)
    page.get_by_role("button", name="broken.mp3").press("Enter")
    expect(page.locator("#batch-song [role=alert]")).to_contain_text("This is not an audio file that can be read")
    expect(page.locator("#batch-song .axes")).to_have_count(0)

    page.get_by_role("button", name="Clear the list").click()
    expect(page.locator(".songs")).to_have_count(0)
    expect(page.locator("#batch-song")).not_to_be_visible()


@ON_DESKTOP
def test_a_folder_chosen_while_others_are_uploaded_is_taken_without_its_other_files(batch_page, album):
    page, held = batch_page, []
    page.route("**/upload", lambda route: route.continue_() if held else held.append(route))
    left_out = page.locator("#batch .folder [role=status]")
    drop(page, album / "Song 03.wav")
    expect(left_out).to_have_text("Uploading: 0 of 1 songs are there.")
    page.set_input_files("#batch .folder input", album)
    held[0].continue_()
    expect(row(page, "Album/<b>x.mp3")).to_have_count(1)
    wait_until_done(page)
    expect(page.locator(".songs tbody tr")).to_have_count(1 + 20)
    expect(left_out).to_have_text(
        "3 other files left out: cover.jpg, list.m3u, notes.txt. 2 hidden files left out: ._Song 03.wav, .DS_Store.",
    )
    drop(page, album / "Song 05.wav")
    expect(left_out).to_be_empty()


@ON_DESKTOP
def test_chosen_files_are_decoded_whatever_their_suffix_unless_one_is_too_large(batch_page, example, tmp_path):
    page = batch_page
    songs = [tmp_path / name for name in ("...and more.mp3", "no suffix", "1. x.unknown", "sound.caf")]
    others = [tmp_path / name for name in ("a.jpg", "b.zip", "c.pdf", "d.txt", "._e.mp3", ".f.mp3.icloud")]
    for path in songs:
        path.write_bytes(example.read_bytes())
    for path in (*others, tmp_path / "no sound"):
        path.write_bytes(b"milk, bread")
    drop(page, *others, *songs, tmp_path / "no sound")
    left_out = page.locator(".folder [role=status]")
    expect(left_out).to_have_text(
        "4 other files left out: a.jpg, b.zip, c.pdf and 1 more. 1 hidden file left out: ._e.mp3. "
        "1 song is not downloaded from iCloud: .f.mp3.icloud."
    )
    wait_until_done(page)
    assert page.locator(".songs tr.classified .name").all_inner_texts() == [path.name for path in songs]
    expect(row(page, "no sound")).to_contain_text("This is not an audio file that can be read")
    assert fits(page)

    drop(page, others[0])
    expect(left_out).to_have_text("1 other file left out: a.jpg.")
    page.locator("#songs-drop input[type=file]").evaluate(
        """(input, size) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["x"], "short.mp3"));
            dataTransfer.items.add(new File([new Uint8Array(size)], "long.wav"));
            input.files = dataTransfer.files;
            input.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        MAX_FILE_SIZE + 1,
    )
    expect(left_out).to_have_text("1 file of more than 200 MB left out: long.wav.")
    expect(page.locator(".songs tr.failed .name")).to_have_text(["no sound", "short.mp3"])


@ON_DESKTOP
def test_dropped_folders_are_opened(batch_page):
    """Browsers add the entries of a drop event; those of a scripted event are added here."""
    page = batch_page
    page.evaluate(
        """() => {
            const leaf = (path) => ({ isFile: true, fullPath: path, file: (done) => done(new File(["x"], path)) });
            const folder = (...entries) => ({
                createReader: () => ({ readEntries: (done) => done(entries.splice(0, 2)) }),
            });
            const entries = ["/.A/1.mp3", "/.A/cover.jpg", "/.A/.DS_Store", "/.A/.git/2.mp3"].map(leaf);
            const dotted = ["/.A/...3/4.mp3", "/.A/#Recycle/5.mp3", "/.A/.6.mp3.icloud"].map(leaf);
            const locked = { isFile: true, fullPath: "/.A/11.mp3", file: (done, failed) => failed(new DOMException()) };
            const root = folder(...entries, ...dotted, locked, folder(leaf("/.A/CD 2/10.mp3"), leaf("/.A/CD 2/9.mp3")));
            const drop = new Event("drop", { bubbles: true, cancelable: true });
            drop.dataTransfer = { types: ["Files"], items: [{ webkitGetAsEntry: () => root }], files: [] };
            document.querySelector("#songs-drop button").dispatchEvent(drop);
        }"""
    )
    wait_until_done(page)
    songs = [".A/...3/4.mp3", ".A/1.mp3", ".A/11.mp3", ".A/CD 2/9.mp3", ".A/CD 2/10.mp3"]
    assert page.locator(".songs .name").all_inner_texts() == songs
    expect(row(page, ".A/11.mp3")).to_contain_text(texts.UPLOAD_FAILED)
    expect(page.locator(".folder [role=status]")).to_have_text(
        "1 other file left out: cover.jpg. 2 hidden files left out: .DS_Store, 2.mp3. "
        "1 file in folders of the system left out: 5.mp3. 1 song is not downloaded from iCloud: .6.mp3.icloud."
    )


@ON_DESKTOP
def test_rows_are_there_before_all_songs_are_uploaded_and_a_stop_ends_the_upload(batch_page, album):
    """A request for each song; from the eleventh on they are held up."""
    requests, held = [], []

    def hold(route):
        requests.append(route)
        held.append(route) if len(requests) > 10 else route.continue_()

    batch_page.route("**/upload", hold)
    drop(batch_page, *(album / name for name in (*NAMES, *BAD)))
    expect(batch_page.locator(".songs tbody tr")).to_have_count(10)
    expect(batch_page.locator("#batch .folder p")).to_contain_text("Uploading: 10 of 20 songs are there.")
    expect(batch_page.locator(".songs tbody tr.classified").first).to_be_visible()
    batch_page.get_by_role("button", name="Clear the list").click()
    expect(batch_page.locator("#batch .folder p")).not_to_contain_text("Uploading")
    batch_page.wait_for_timeout(1000)
    expect(batch_page.locator(".songs tbody tr")).to_have_count(0)
    assert len(requests) == 11
    batch_page.unroute_all(behavior="ignoreErrors")
    drop(batch_page, album / NAMES[2])  # the next ones are taken
    expect(batch_page.locator(".songs tbody tr.classified")).to_have_count(1)


@ON_DESKTOP
def test_a_song_that_cannot_be_sent_is_tried_again_and_is_a_row(batch_page, album):
    page, names = batch_page, NAMES[2:8]
    lost, large, late = names[1:4]
    tries = []

    def answer(route):
        name = re.search(rb'filename="([^"]+)"', route.request.post_data_buffer)[1].decode()
        tries.append(name)
        if name == large:
            route.fulfill(status=413, content_type="text/html", body="<html>413 Request Entity Too Large</html>")
        elif name == lost or (name == late and tries.count(late) == 1):
            route.abort()
        else:
            route.continue_()

    page.route("**/upload", answer)
    drop(page, *(album / name for name in names))
    wait_until_done(page)
    expect(page.locator(".progress b")).to_have_text("4 songs classified, 2 could not be.")
    assert page.locator(".songs .name").all_inner_texts() == names
    for name in (lost, large):
        expect(row(page, name)).to_contain_text(texts.UPLOAD_FAILED)
    expect(page.locator("#batch .folder p")).to_have_text(f"1 file is too large for this server: {large}.")
    assert [tries.count(name) for name in (lost, large, late)] == [4, 1, 2]
    expect(page.locator(".toast-body")).to_have_count(0)

    page.get_by_role("tab", name=texts.SONG_TAB).click()
    page.unroute_all()
    refusals = [(413, texts.REFUSED), (507, texts.NO_ROOM), (502, texts.UPLOAD_FAILED)]
    statuses = iter([status for status, _ in refusals])
    page.route(re.compile(r"/upload(\?|$)"), lambda route: route.fulfill(status=next(statuses), body="No"))
    for _, sentence in refusals:
        page.set_input_files(UPLOAD, album / names[0])
        expect(page.locator("#prediction [role=alert]")).to_contain_text(sentence)


@ON_DESKTOP
def test_a_stop_leaves_what_is_classified_and_others_may_follow(batch_page, example, album, tmp_path):
    page, concert = batch_page, tmp_path / "concert.wav"
    write_audio(concert, [np.tile(music(10, 8000), 180)], "pcm_s16le", rate=8000)  # classified for many seconds
    drop(page, example, concert, album / "Song 03.wav")
    expect(page.locator(".songs tbody tr")).to_have_count(3)
    expect(page.locator(".songs tr.current")).to_contain_text(concert.name)
    # as an event, since the list is drawn again and again below a mouse
    page.locator("#batch").get_by_role("button", name=texts.STOP, exact=True).dispatch_event("click")
    expect(page.locator("#batch .progress")).to_have_text("1 song classified. Stopped: 2 songs not classified.")
    expect(page.locator(".songs .name")).to_have_text([example.name])
    drop(page, album / "Song 04.wav")
    expect(page.locator(".songs tr.classified .name")).to_have_text([example.name, "Song 04.wav"])


@ON_DESKTOP
def test_results_stay_when_a_model_does_not_load_and_the_browser_asks_before_they_go(batch_page, album, tmp_path):
    page, asked = batch_page, []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    drop(page, album / "Song 03.wav", album / "Song 04.wav")
    wait_until_done(page)
    before = page.locator(".songs").inner_text()
    page.get_by_role("button", name=texts.CARD).click()
    page.get_by_label("Model", exact=True).fill("jazz-model")
    page.get_by_label("Model", exact=True).press("Enter")
    expect(page.locator("#about")).to_contain_text(texts.NO_SUCH_MODEL)
    wait_until_done(page)
    with page.expect_event("dialog"):
        page.evaluate("location.reload()")
    assert asked == ["beforeunload"]
    assert page.locator(".songs").inner_text() == before
    downloaded(page, texts.BATCH_DOWNLOADS[0], tmp_path)
    page.evaluate("location.reload()")
    expect(page.locator(".songs tbody tr")).to_have_count(0)
    assert len(asked) == 1
