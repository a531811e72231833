import csv
import json
import re

import pytest
from playwright.sync_api import expect

from tests.conftest import music, write_audio

SECONDS = 60_000  # Playwright counts in milliseconds
NAMES = ["<b>x.mp3", "=1+1.wav", *(f"Song {i:02}.wav" for i in range(3, 19))]
BAD = {"broken.mp3": b"milk, bread", "empty.flac": b""}
BESIDE = ["cover.jpg", ".DS_Store", "list.m3u", "notes.txt", "._Song 03.wav"]

# Some rows are done, one is being listened to, some wait and the list cannot be cleared, all at one moment.
WORKING = """() => {
    const rows = (kind) => document.querySelectorAll(`.songs tbody tr.${kind}`).length;
    const [done, now, waiting] = ["heard", "now", "waiting"].map(rows);
    const buttons = [...document.querySelectorAll("#several button")];
    const clear = buttons.find((one) => one.innerText === "Clear the list");
    const said = document.querySelector(".progress b")?.innerText;
    return done > 0 && now === 1 && waiting > 3 && done + waiting === 19 && said === `${done} of 20` && clear.disabled;
}"""


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    """A folder of eighteen songs, two files that are none, and what lies beside them."""
    folder = tmp_path_factory.mktemp("albums") / "Album"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        codec, rate = ("libmp3lame", 44100) if name.endswith("mp3") else ("pcm_s16le", 16000)
        write_audio(folder / name, [music(4 + number % 3, rate)], codec, rate=rate)
    for name, content in (BAD | dict.fromkeys(BESIDE, b"x")).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def several(page):
    page.get_by_role("tab", name="Several songs").click()
    page.get_by_role("button", name="Choose a folder").wait_for()
    return page


def drop(page, *files):
    page.set_input_files("#songs-drop input[type=file]", files)


def wait_until_done(page):
    expect(page.locator(".progress b")).to_have_text(re.compile(r"heard"), timeout=4 * SECONDS)
    expect(page.get_by_role("button", name="Clear the list")).to_be_enabled()


def row(page, name):
    return page.locator(".songs tbody tr").filter(has=page.get_by_text(name, exact=True))


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def downloaded(page, name, folder):
    with page.expect_download() as download:
        page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).first.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_twenty_files_come_in_rows_and_go_out_as_tables(several, album, tmp_path):
    page = several
    drop(page, *(album / name for name in [*NAMES, *BAD]))
    page.wait_for_function(WORKING, timeout=SECONDS)
    assert fits(page)

    wait_until_done(page)
    expect(page.locator(".progress b")).to_have_text("18 songs heard, 2 could not be.")
    expect(row(page, "broken.mp3")).to_contain_text("This is not an audio file that can be read, or it is damaged.")
    expect(row(page, "empty.flac")).to_contain_text("This file is empty.")
    expect(page.locator(".songs tr.heard")).to_have_count(18)
    expect(row(page, "<b>x.mp3").locator(".confident")).to_have_text(re.compile(r"^\d+%$"))
    assert page.locator(".songs b").count() == 0
    assert fits(page)

    lines = read_csv(downloaded(page, "CSV, a line a song", tmp_path))
    assert [line["file"] for line in lines] == ["<b>x.mp3", "'=1+1.wav", *NAMES[2:], *BAD]
    assert [bool(line["error"]) for line in lines] == [False] * 18 + [True] * 2
    windows = read_csv(downloaded(page, "CSV, a line a window", tmp_path))
    content = json.loads(downloaded(page, "JSON, everything", tmp_path).read_text(encoding="utf-8"))
    assert [one["file"] for one in content] == [*NAMES, *BAD]
    assert [len(one["windows"]) for one in content[:3]] == [
        sum(line["file"].lstrip("'") == name for line in windows) for name in NAMES[:3]
    ]
    assert content[0]["windows"][0].keys() == {"start", "end", "probabilities"}
    assert content[18]["error"].startswith("This is not an audio file")


def test_a_row_opens_by_mouse_and_by_keyboard(several, example, album):
    page = several
    drop(page, example, album / "<b>x.mp3", album / "broken.mp3")
    wait_until_done(page)
    row(page, example.name).click()
    expect(page.locator("#several-song h2.opened")).to_have_text(example.name)
    expect(page.locator("#several-song .verdict h2")).to_have_text("Electronic")
    expect(page.locator("#several-song .window")).to_have_count(5, timeout=SECONDS)
    expect(page.locator(".songs tr.open")).to_have_count(1)
    roll = page.locator("#several-song .roll")
    page.wait_for_function("document.querySelector('#several-song audio').readyState > 0")
    roll.click(position={"x": roll.bounding_box()["width"] * 0.5, "y": 30})
    expect(page.locator("#several-song .why")).to_be_visible(timeout=SECONDS)
    assert fits(page)

    page.get_by_role("button", name="<b>x.mp3").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#several-song h2.opened")).to_have_text("<b>x.mp3")
    expect(page.locator("#several-song .why")).to_have_count(0)
    page.get_by_role("button", name="broken.mp3").press("Enter")
    expect(page.locator("#several-song [role=alert]")).to_contain_text("This is not an audio file that can be read")
    expect(page.locator("#several-song .axes")).to_have_count(0)

    page.get_by_role("button", name="Clear the list").click()
    expect(page.locator(".songs")).to_have_count(0)
    expect(page.locator("#several-song")).not_to_be_visible()


def test_a_folder_is_heard_without_what_lies_beside(several, album):
    page = several
    page.set_input_files(".folder input", album)
    expect(page.locator(".songs tbody tr")).to_have_count(20, timeout=SECONDS)
    expect(page.locator(".folder [role=status]")).to_have_text(
        "3 other files left out: cover.jpg, list.m3u, notes.txt."
    )
    expect(row(page, "Album/<b>x.mp3")).to_have_count(1)

    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".progress p")).to_contain_text(re.compile(r"Stopped: \d+ songs not heard"), timeout=SECONDS)
    expect(page.locator(".songs tr:is(.waiting, .now)")).to_have_count(0)
    done = page.locator(".songs tbody tr").count()
    assert done < 20

    drop(page, album / "Song 05.wav")
    expect(page.locator(".folder [role=status]")).to_be_empty()
    wait_until_done(page)
    expect(page.locator(".songs tbody tr")).to_have_count(done + 1)


def test_of_chosen_files_the_decoder_says_which_are_songs(several, example, tmp_path):
    page = several
    songs = [tmp_path / name for name in ("no suffix", "1. x.unknown", "sound.caf")]
    others = [tmp_path / name for name in ("a.jpg", "b.zip", "c.pdf", "d.txt", "._e.mp3")]
    for path in songs:
        path.write_bytes(example.read_bytes())
    for path in (*others, tmp_path / "no sound"):
        path.write_bytes(b"milk, bread")
    drop(page, *others, *songs, tmp_path / "no sound")
    said = page.locator(".folder [role=status]")
    expect(said).to_have_text("5 other files left out: a.jpg, b.zip, c.pdf and 2 more.")
    wait_until_done(page)
    assert page.locator(".songs tr.heard .name").all_inner_texts() == [path.name for path in songs]
    expect(row(page, "no sound")).to_contain_text("This is not an audio file that can be read, or it is damaged.")
    assert fits(page)

    drop(page, others[0])
    expect(said).to_have_text("1 other file left out: a.jpg.")
    expect(page.locator(".songs tbody tr")).to_have_count(4)


def test_dropped_folders_are_opened(several, album):
    """Browsers hand a page the entries of a drop; a drop that a script makes up has none, so they are made up here."""
    page = several
    page.evaluate(
        """() => {
            const leaf = (path) => ({ isFile: true, fullPath: path, file: (done) => done(new File(["x"], path)) });
            const folder = (...entries) => ({
                createReader: () => ({ readEntries: (done) => done(entries.splice(0, 2)) }),
            });
            const entries = ["/A/1.mp3", "/A/cover.jpg", "/A/.DS_Store"].map(leaf);
            const root = folder(...entries, folder(leaf("/A/CD 2/10.mp3"), leaf("/A/CD 2/9.mp3")));
            const drop = new Event("drop", { bubbles: true, cancelable: true });
            drop.dataTransfer = { items: [{ webkitGetAsEntry: () => root }], files: [] };
            document.querySelector("#songs-drop button").dispatchEvent(drop);
        }"""
    )
    wait_until_done(page)
    assert page.locator(".songs .name").all_inner_texts() == ["A/1.mp3", "A/CD 2/9.mp3", "A/CD 2/10.mp3"]
    expect(page.locator(".folder [role=status]")).to_have_text("1 other file left out: cover.jpg.")


def test_the_calls_name_the_files_just_heard(several, album):
    page = several
    drop(page, album / "=1+1.wav")
    wait_until_done(page)
    page.get_by_role("button", name="Call it from a program").click()
    expect(page.locator("#calls")).to_contain_text("songs = ['=1+1.wav']")
    expect(page.locator("#calls")).to_contain_text(f"Client('{page.url.rstrip('/')}')")
    page.get_by_role("tab", name="curl").click()
    expect(page.locator("#calls")).to_contain_text("for song in =1+1.wav; do")
    assert fits(page)
