import re

import pytest
from playwright.sync_api import expect

from genre.audio.audio import Audio
from genre.web import texts
from tests.browser.conftest import ON_DESKTOP, fits

COVERAGE = "#live-prediction .coverage"
LEVEL = "#live [role=meter]"


@pytest.fixture
def live(page):
    """The page, on the tab."""
    page.get_by_role("tab", name=texts.LIVE_TAB).click()
    page.get_by_role("button", name=texts.LIVE["start"]).wait_for()
    return page


def start(page):
    page.get_by_role("button", name=texts.LIVE["start"]).click()
    page.get_by_role("button", name=texts.LIVE["stop"]).wait_for()


def level(page):
    return int(page.locator(LEVEL).get_attribute("aria-valuenow"))


def replace_microphone(page, body):
    """Replace getUserMedia by a function with a body in JavaScript."""
    page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = async () => {{ {body} }} }}")


def test_the_prediction_is_updated_and_the_recording_opens_as_a_song(live):
    assert level(live) == -80
    start(live)
    live.wait_for_function(f"document.querySelector('{LEVEL}').ariaValueNow > -50")
    expect(live.locator("#live .message")).to_have_text(texts.LIVE["loud"])
    expect(live.locator(COVERAGE)).to_have_text(re.compile(r"From the last 0:\d\d; "))
    first = live.locator(COVERAGE).inner_text()
    expect(live.locator("#live-prediction .bars li")).to_have_count(3)
    expect(live.locator(COVERAGE)).not_to_have_text(first)
    assert fits(live)

    live.get_by_role("button", name=texts.LIVE["stop"]).click()
    expect(live.locator("#prediction .coverage")).to_have_text(re.compile(r"windows?\.$"))
    expect(live.get_by_role("tab", name=texts.SONG_TAB)).to_have_attribute("aria-selected", "true")
    assert live.locator("#timeline .window").count() >= 2
    live.wait_for_function("document.querySelector('#timeline audio').duration > 4")
    live.get_by_role("button", name="Play", exact=True).click()
    live.wait_for_function("document.querySelector('#timeline audio').currentTime > 0.5")

    live.get_by_role("tab", name=texts.LIVE_TAB).click()
    expect(live.locator("#live .message")).to_have_text(texts.LIVE["sent"])
    expect(live.locator("#live-prediction")).to_contain_text(texts.LIVE_EMPTY)


@ON_DESKTOP
def test_a_microphone_that_is_missing_or_silent_is_a_sentence(live):
    for error in ("NotAllowedError", "NotFoundError", "NotReadableError"):
        replace_microphone(live, f"throw new DOMException('', '{error}')")
        live.get_by_role("button", name=texts.LIVE["start"]).click()
        expect(live.locator("#live .message")).to_have_text(texts.LIVE[error])
        expect(live.get_by_role("button", name=texts.LIVE["start"])).to_be_enabled()
    replace_microphone(live, "return new AudioContext().createMediaStreamDestination().stream")
    start(live)
    expect(live.locator("#live .message")).to_have_text(texts.LIVE["quiet"])
    expect(live.locator("#live-prediction")).to_contain_text(texts.LIVE_QUIET)
    expect(live.locator(COVERAGE)).to_have_count(0)


@ON_DESKTOP
def test_a_recording_that_could_not_be_sent_is_kept(live, tmp_path):
    button = live.get_by_role("button", name=texts.LIVE["start"])
    button.focus()
    button.press("Enter")
    expect(live.get_by_role("button", name=texts.LIVE["stop"])).to_be_focused()  # Enter stops it, too
    live.wait_for_function("document.querySelector('#live .clock').textContent >= '0:02'")
    live.route("**/upload*", lambda route: route.abort())
    live.keyboard.press("Enter")
    expect(live.locator("#live .message")).to_have_text(texts.LIVE["lost"])
    with live.expect_download() as download:
        live.get_by_role("link", name=texts.LIVE["save"]).click()
    download.value.save_as(tmp_path / "live.wav")
    assert len(Audio(tmp_path / "live.wav").samples(16000)) > 16000
    live.unroute("**/upload*")
    live.get_by_role("button", name=texts.LIVE["again"]).click()
    expect(live.locator("#prediction .coverage")).to_have_text(re.compile(r"windows?\.$"))
    expect(live.locator("#live .unsent")).to_be_hidden()


@ON_DESKTOP
@pytest.mark.parametrize("leaves", [False, True])
def test_a_recording_outlives_a_lost_connection_and_a_page_that_is_loaded_anew(live, leaves):
    """Gradio loads the page anew once the server answers again; a visitor may do so at any time."""
    start(live)
    live.wait_for_function("document.querySelector('#live .clock').textContent >= '0:05'")
    live.on("dialog", lambda dialog: dialog.accept())
    if leaves:
        live.reload()
    else:
        live.context.set_offline(True)
        live.get_by_text("Connection to the server was lost").wait_for()
        live.context.set_offline(False)
        live.wait_for_timeout(5000)  # Gradio tries every two seconds
        live.get_by_role("button", name=texts.LIVE["stop"]).click()
    expect(live.locator("#prediction .coverage")).to_have_text(re.compile(r"windows?\.$"))
    assert live.locator("#timeline .window").count() >= 1
    live.get_by_role("tab", name=texts.LIVE_TAB).click()
    expect(live.locator("#live .message")).to_have_text(texts.LIVE["sent"])
    live.wait_for_function("sessionStorage.getItem('genre-live') === null")  # once the song is shown in full
    live.reload()  # it is not sent again
    live.wait_for_timeout(3000)
    expect(live.locator("#prediction .coverage")).to_have_count(0)
