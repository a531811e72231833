import re
from base64 import b64encode

import numpy as np
import pytest
from playwright.sync_api import expect

from genre.audio.decode import decode
from genre.web import texts
from tests.browser.conftest import ON_DESKTOP
from tests.browser.test_page import UPLOAD, wait_for_prediction
from tests.conftest import music, tone, write_audio

CODECS = {
    ".aac": "aac",
    ".aif": "pcm_s16be",
    ".aiff": "pcm_s16be",
    ".flac": "flac",
    ".m4a": "aac",
    ".m4b": "aac",
    ".mka": "libmp3lame",
    ".mkv": "libopus",
    ".mov": "aac",
    ".mp3": "libmp3lame",
    ".mp4": "aac",
    ".oga": "libopus",
    ".ogg": "libopus",
    ".opus": "libopus",
    ".wav": "pcm_s16le",
    ".webm": "libopus",
    ".wma": "wmav2",
    ".wv": "wavpack",
}
CONTAINERS = {".m4b": "ipod", ".wma": "asf"}
FILMS = {".mkv": "mpeg4", ".mov": "mpeg4", ".mp4": "mpeg4", ".webm": "libvpx"}
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


@pytest.fixture
def zone(page):
    """Drop zone for files; it appears a moment after the page."""
    zone = page.locator("#song .upload-container")
    zone.wait_for()
    return zone


@ON_DESKTOP
@pytest.mark.parametrize("suffix", CODECS)
def test_a_song_of_every_format_is_classified(page, tmp_path, suffix):
    options = {"format": CONTAINERS[suffix]} if suffix in CONTAINERS else {}
    path = tmp_path / f"song{suffix}"
    write_audio(path, [music(7, 48000)] * 2, CODECS[suffix], rate=48000, video=FILMS.get(suffix), **options)
    page.set_input_files(UPLOAD, path)
    wait_for_prediction(page)
    expect(page.locator("#prediction .coverage")).to_have_text(
        re.compile(r"^Nearest of \d+ genres\. Classified 0:07 in 3 windows")
    )


@ON_DESKTOP
@pytest.mark.parametrize(("name", "kind"), [("song.mp3", "audio/mpeg"), ("song.mp4", "video/mp4")])
def test_songs_and_videos_may_be_dropped(page, zone, tmp_path, name, kind):
    codec, film = ("aac", "mpeg4") if name.endswith("mp4") else ("libmp3lame", None)
    path = write_audio(tmp_path / name, [music(4, 48000)], codec, rate=48000, video=film)
    zone.evaluate(DROP, [name, kind, b64encode(path.read_bytes()).decode()])
    wait_for_prediction(page)
    expect(page.locator("#timeline .window")).to_have_count(2)


@ON_DESKTOP
@pytest.mark.parametrize("name", ["no suffix", "x.unknown", "sound.caf", "pack.zip", "page.html"])
def test_files_are_decoded_whatever_their_suffix(page, example, tmp_path, name):
    (tmp_path / name).write_bytes(example.read_bytes())
    page.set_input_files(UPLOAD, tmp_path / name)
    wait_for_prediction(page)
    expect(page.locator("#prediction h2")).to_have_text("Electronic")
    expect(page.get_by_text("Invalid file type")).to_have_count(0)


@ON_DESKTOP
@pytest.mark.parametrize(
    ("name", "kind"), [("pack.zip", "application/zip"), ("no suffix", ""), ("x.txt", "text/plain")]
)
def test_a_file_that_cannot_be_decoded_shows_an_alert_on_the_card(page, zone, name, kind):
    zone.evaluate(DROP, [name, kind, b64encode(b"milk, bread").decode()])
    alert = page.locator("#prediction [role=alert]")
    expect(alert).to_contain_text("This is not an audio file that can be read")
    expect(page.get_by_text("Invalid file type")).to_have_count(0)


@ON_DESKTOP
def test_a_folder_shows_an_alert_on_the_card(page, zone, example):
    """Browsers mark folders in the entries of a drop event; those of a scripted event are added here."""
    zone.evaluate(
        """zone => {
            const drop = new Event("drop", { bubbles: true, cancelable: true });
            const items = [{ webkitGetAsEntry: () => ({ isDirectory: true }) }];
            drop.dataTransfer = { types: ["Files"], items, files: [new File([], "Album")] };
            zone.dispatchEvent(drop);
        }"""
    )
    expect(page.locator("#prediction [role=alert]")).to_contain_text(texts.FOLDER_ON_SONG)
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)


@ON_DESKTOP
def test_the_dialog_offers_every_file(page, zone):
    with page.expect_file_chooser() as dialog:
        zone.click()
    assert not dialog.value.element.get_attribute("accept")


@ON_DESKTOP
def test_another_song_may_be_dropped_beside_the_one_that_is_shown(page, zone, tmp_path):
    names = "first.mp3", "second.mp3"
    for seconds, name in zip((4, 7), names, strict=True):
        write_audio(tmp_path / name, [music(seconds, 48000)], "libmp3lame", rate=48000)
    page.set_input_files(UPLOAD, tmp_path / "first.mp3")
    wait_for_prediction(page)
    content = b64encode((tmp_path / "second.mp3").read_bytes()).decode()
    page.locator("#prediction .prediction").evaluate(DROP, ["second.mp3", "audio/mpeg", content])
    expect(page.locator("#prediction .coverage")).to_contain_text("Classified 0:07", timeout=60_000)
    page.get_by_role("tab", name="Live").click()
    dropped = page.locator("#live").evaluate(
        DROP.replace("zone.dispatchEvent", "return !zone.dispatchEvent"), ["x.mp3", "audio/mpeg", ""]
    )
    assert dropped  # the browser does not open the file in place of the page


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
    page.wait_for_function("document.querySelector('#timeline audio').readyState > 0")
    page.evaluate(HEAR)
    roll = page.locator("#timeline .roll")
    width = roll.bounding_box()["width"]
    x = round(0.8 * width)
    roll.click(position={"x": x, "y": 30})
    page.wait_for_function("window.heard.findLastIndex((one) => one) > window.heard.findIndex((one) => one) + 16000")
    heard = np.trim_zeros(np.array(page.evaluate("window.heard"), np.float32))[:16000]
    there = decode(path, 8000).numpy()
    places = np.fft.irfft(np.fft.rfft(there) * np.fft.rfft(heard, len(there)).conj(), len(there))
    assert places.argmax() / 8000 == pytest.approx(len(there) / 8000 * x / width, abs=0.2)
