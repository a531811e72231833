"""One song: files of all kinds, prediction, playback, explanation, downloads, recording."""

import csv
import io
import json
import re
from base64 import b64encode
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from genre.audio.audio import Audio
from genre.cli import main
from genre.inference.prediction import clock
from genre.web import texts
from tests.browser.conftest import ON_DESKTOP, UPLOAD, downloaded, fits, wait_for_prediction
from tests.conftest import RATE, music, tone, write_audio
from tests.inference.test_export import of_kind, parsed

CODECS = {  # with options of the container
    ".mp3": ("libmp3lame", {}),
    ".aif": ("pcm_s16be", {}),
    ".m4b": ("aac", {"format": "ipod"}),
    ".mkv": ("libopus", {}),
    ".mp4": ("aac", {}),
    ".wma": ("wmav2", {"format": "asf"}),
}
FILMS = {".mkv": "mpeg4", ".mp4": "mpeg4"}
TYPES = {".mp3": "audio/mpeg", ".mp4": "video/mp4", ".zip": "application/zip"}
HEAR = """async () => {  // what the player of the timeline sounds like goes to window.heard, at 8 kHz
    const context = new AudioContext({ sampleRate: 8000 });
    const tap = `registerProcessor("tap", class extends AudioWorkletProcessor {
        process([[channel]]) { if (channel) this.port.postMessage(channel.slice()); return true; }
    })`;
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([tap], { type: "text/javascript" })));
    const node = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
    window.heard = [];
    node.port.onmessage = ({ data }) => window.heard.push(...data);
    context.createMediaElementSource(document.querySelector("#timeline audio")).connect(node);
    node.connect(context.destination);
}"""
DROP = """(zone, [name, type, content]) => {
    const dataTransfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    dataTransfer.items.add(new File([bytes], name, { type }));
    const drop = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer });
    zone.dispatchEvent(drop);
}"""
PLAYABLE = "document.querySelector('#timeline audio').readyState > 0"
_, _, LABELS, PICTURE = texts.SONG_DOWNLOADS
NAME = "Jóga (live) 100% #1"  # of which addresses would give "%" and "#" a meaning
SAFE_NAME = "Jóga (live) 100_ _1"


@pytest.fixture
def song(tmp_path):
    return write_audio(tmp_path / f"{NAME}.wav", [music(40)], "pcm_s16le", rate=RATE)


def test_a_song_is_shown_played_and_explained(page, classifier, example):
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    expect(page.locator("#prediction h2")).to_have_text("Electronic")
    expect(page.locator("#song > label")).to_have_text(example.name)
    expect(page.locator("#prediction .bars li")).to_have_count(3)
    expect(page.locator("#timeline .window")).to_have_count(5)
    expect(page.locator("#timeline .scale.genres span")).to_have_count(8)
    spectrogram_image = page.locator("#timeline .spectrogram img")
    assert spectrogram_image.evaluate("image => image.complete && image.naturalWidth > 200")
    assert fits(page)

    roll, audio = page.locator("#timeline .roll"), page.locator("#timeline audio")
    width = roll.bounding_box()["width"]
    page.wait_for_function(PLAYABLE)
    roll.click(position={"x": width * 0.5, "y": 30})
    page.wait_for_function("document.querySelector('#timeline audio').currentTime > 7.6")
    page.get_by_role("button", name="Pause").dispatch_event("click")  # `click` would scroll away from the explanation
    page.get_by_role("button", name="Play", exact=True).wait_for()
    expect(page.locator("#timeline .why h3")).to_have_text(re.compile("^Why .+, 0:06 to 0:09$"))
    expect(page.locator("#timeline .why h3")).to_be_in_viewport()
    for key, number in (("Home", "0"), ("ArrowUp", "1"), ("End", "4"), ("ArrowLeft", "3"), ("PageUp", "4")):
        roll.press(key)
        assert page.locator(".window.current").get_attribute("data-window") == number, key
    assert audio.evaluate("audio => audio.paused")
    expect(page.locator(".window.current")).to_have_count(1)
    expect(page.locator("#timeline .now")).to_have_text(re.compile(r"^\w+ \d+%, "))

    page.get_by_role("button", name=texts.OVERLAP).click()
    page.get_by_label("A half").check()
    expect(page.locator("#timeline .window")).to_have_count(9)
    wait_for_prediction(page)
    page.wait_for_function(PLAYABLE)
    roll.focus()
    for _ in range(5):  # the first one goes to the first window
        page.keyboard.press("ArrowRight")
    expect(page.locator(".window.current")).to_have_attribute("data-window", "4")
    page.keyboard.press("Enter")
    found = classifier.classify(example, overlap=texts.OVERLAPS["A half"]).windows[4]
    span = f"{clock(found.start)} to {clock(found.end)}"
    expect(page.locator("#timeline .why h3")).to_have_text(f"Why {found.genre}, {span}")
    for tab in (texts.LIVE_TAB, texts.BATCH_TAB, texts.TEACH_TAB):
        page.get_by_role("tab", name=tab).click()
        assert fits(page)
    page.get_by_role("button", name=texts.CARD).click()
    assert fits(page)


@ON_DESKTOP
def test_a_loss_of_the_connection_is_told_after_the_page_was_loaded_anew(page):
    """Gradio shows a message, then loads the page."""
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p class=toast-body>Connection lost</p>')")
    page.reload()
    expect(page.locator("#prediction")).to_contain_text(texts.CONNECTION_LOST)
    assert page.evaluate("sessionStorage.getItem('genre-connection-lost')") is None  # told once


def test_the_page_is_declared_to_be_english_in_any_browser(browser, server):
    page = browser.new_page(locale="de-DE")
    page.goto(server)
    expect(page.locator("#song")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.wait_for_timeout(1000)
    assert page.evaluate("document.documentElement.lang") == "en"
    page.close()


@ON_DESKTOP
def test_an_example_is_classified_after_a_click_and_downloaded_by_keyboard(page):
    page.get_by_role("button", name="Two radio stations").click()
    wait_for_prediction(page)
    expect(page.locator("#timeline .window")).to_have_count(14)
    button = page.get_by_role("button", name=LABELS)
    expect(button).to_be_enabled()
    button.focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "radio.labels.txt"


@ON_DESKTOP
def test_a_recording_is_classified(page, server, classifier, tmp_path):
    asked = "navigator.mediaDevices.getUserMedia({audio: true}).then((stream) => stream.getTracks()[0].getSettings())"
    settings = page.evaluate(asked)  # what a browser does for calls distorts music
    assert not any(settings[one] for one in ("echoCancellation", "noiseSuppression", "autoGainControl"))
    page.get_by_role("button", name="Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#song .duration")).to_have_text(re.compile("^0:(0[4-9]|[1-5])"))
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_prediction(page)
    expect(page.locator("#prediction .coverage")).to_have_text(re.compile(r"Classified 0:\d\d in \d+ windows?\."))

    recording = tmp_path / "recording"
    player = page.locator("#timeline audio[src]")
    recording.write_bytes(page.request.get(urljoin(server, player.get_attribute("src"))).body())
    prediction = classifier.classify(recording)  # the recorded section of the music is random
    assert prediction.is_music
    expect(page.locator("#prediction h2")).to_have_text(prediction.genre)


@ON_DESKTOP
def test_the_recorder_says_why_a_page_by_http_has_no_microphone(page):
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'mediaDevices', { value: undefined })")
    page.reload()
    page.get_by_role("button", name="Record audio").click()
    expect(page.locator("#prediction [role=alert]")).to_contain_text(texts.LIVE["SecurityError"])
    expect(page.get_by_text("No microphone found")).to_be_hidden()


@ON_DESKTOP
def test_a_song_of_any_kind_is_chosen_or_dropped(page, example, tmp_path):
    with page.expect_file_chooser() as dialog:
        page.locator("#song .upload-container").click()
    assert not dialog.value.element.get_attribute("accept")
    songs = {}
    for suffix, (codec, form) in CODECS.items():
        path = tmp_path / f"song{suffix}"
        write_audio(path, [music(7, 48000)] * 2, codec, rate=48000, video=FILMS.get(suffix), **form)
        songs[path] = "Classified 0:07 in 3 windows"
    for name in ("no suffix", "x.unknown", "sound.caf", "pack.zip", "page.html"):
        songs[tmp_path / name] = "Classified 0:15 in 5 windows"
        (tmp_path / name).write_bytes(example.read_bytes())
    page.set_input_files(UPLOAD, example)  # the others are dropped beside the one that is shown
    for path, coverage in songs.items():
        wait_for_prediction(page)
        content = b64encode(path.read_bytes()).decode()
        page.locator("#prediction .prediction").evaluate(DROP, [path.name, TYPES.get(path.suffix, ""), content])
        expect(page.locator("#song > label")).to_have_text(path.name)
        expect(page.locator("#prediction .coverage")).to_contain_text(coverage)
    page.get_by_role("button", name="Clear").click()
    page.set_input_files(UPLOAD, tmp_path / "pack.zip")
    wait_for_prediction(page)
    expect(page.get_by_text("Invalid file type")).to_have_count(0)

    page.get_by_role("tab", name=texts.LIVE_TAB).click()
    dropped = page.locator("#live").evaluate(
        DROP.replace("zone.dispatchEvent", "return !zone.dispatchEvent"), ["x.mp3", "audio/mpeg", ""]
    )
    assert dropped  # the browser does not open the file in place of the page


@ON_DESKTOP
def test_a_bad_file_is_one_sentence_and_the_page_continues_to_work(page, example, tmp_path):
    alert = page.locator("#prediction [role=alert]")
    zone = page.locator("#song .upload-container")
    # Browsers mark folders in the entries of a drop event; those of a scripted event are added here.
    zone.evaluate(
        """zone => {
            const drop = new Event("drop", { bubbles: true, cancelable: true });
            const items = [{ webkitGetAsEntry: () => ({ isDirectory: true }) }];
            drop.dataTransfer = { types: ["Files"], items, files: [new File([], "Album")] };
            zone.dispatchEvent(drop);
        }"""
    )
    expect(alert).to_contain_text(texts.FOLDER_ON_SONG)
    (tmp_path / "list.mp3").write_text("milk, bread")
    page.set_input_files(UPLOAD, tmp_path / "list.mp3")
    expect(alert).to_contain_text("This is not an audio file that can be read")
    expect(page.locator("#timeline .window")).to_have_count(0)
    assert "Traceback" not in page.content() and str(tmp_path) not in page.content()
    for name, kind in (("pack.zip", "application/zip"), ("no suffix", ""), ("x.txt", "text/plain")):
        page.get_by_role("button", name="Clear").click()
        page.get_by_text(texts.EMPTY).wait_for()
        zone.evaluate(DROP, [name, kind, b64encode(b"milk, bread").decode()])
        expect(alert).to_contain_text("This is not an audio file that can be read")
        expect(page.get_by_text("Invalid file type")).to_have_count(0)

    page.get_by_role("button", name="Clear").click()
    page.get_by_text(texts.EMPTY).wait_for()
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)


@ON_DESKTOP
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("vbr.mp3", "libmp3lame", {"quality": 2, "options": {"write_xing": "0"}}),
        ("chained.ogg", "libopus", {}),
        ("song.wma", "wmav2", {"format": "asf"}),
    ],
)
def test_a_click_plays_the_music_of_that_window(page, tmp_path, name, codec, options):
    """Browsers seek in an mp3 by its bit rate, which the noise raises, play one part of a chained Ogg, and no WMA."""
    path, rate = tmp_path / name, 48000
    noise = np.random.default_rng(1).normal(scale=0.1, size=20 * rate).astype(np.float32)
    parts = [tone(20, rate=rate), music(20, rate) + noise]
    files = [[part] for part in parts] if name == "chained.ogg" else [[np.concatenate(parts)]]
    path.write_bytes(b"".join(write_audio(path, one, codec, rate=rate, **options).read_bytes() for one in files))
    page.set_input_files(UPLOAD, path)
    wait_for_prediction(page)
    page.wait_for_function(PLAYABLE)
    page.evaluate(HEAR)
    roll = page.locator("#timeline .roll")
    width = roll.bounding_box()["width"]
    x = round(0.8 * width)
    roll.click(position={"x": x, "y": 30})
    page.wait_for_function("window.heard.findLastIndex((one) => one) > window.heard.findIndex((one) => one) + 16000")
    heard = np.trim_zeros(np.array(page.evaluate("window.heard"), np.float32))[:16000]
    there = Audio(path).samples(8000)
    places = np.fft.irfft(np.fft.rfft(there) * np.fft.rfft(heard, len(there)).conj(), len(there))
    assert places.argmax() / 8000 == pytest.approx(len(there) / 8000 * x / width, abs=0.2)


@ON_DESKTOP
def test_a_song_is_downloaded_in_each_format(page, song, tmp_path, capsys):
    page.set_input_files(UPLOAD, song)
    wait_for_prediction(page)
    expect(page.get_by_role("button", name=PICTURE)).to_be_enabled()
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
