import re
from urllib.parse import urljoin

from playwright.sync_api import expect

from genre.inference.prediction import clock
from genre.web import texts
from tests.browser.conftest import ON_DESKTOP
from tests.browser.test_batch import fits

UPLOAD = "#song input[type=file]"
SECONDS = 30_000  # Playwright counts in milliseconds


def wait_for_prediction(page):
    expect(page.locator("#prediction .coverage")).to_have_text(re.compile(r"windows?\.$"), timeout=SECONDS)


def test_a_song_gets_prediction_spectrogram_and_windows(page, example):
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


def test_a_click_plays_from_there_and_explains_the_window(page, example):
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    roll = page.locator("#timeline .roll")
    width = roll.bounding_box()["width"]
    page.wait_for_function("document.querySelector('#timeline audio').readyState > 0")
    roll.click(position={"x": width * 0.5, "y": 30})
    page.wait_for_function("document.querySelector('#timeline audio').currentTime > 7.6")
    expect(page.locator("#timeline .why h3")).to_have_text(re.compile("^Why .+, 0:06 to 0:09$"))
    expect(page.locator("#timeline .why h3")).to_be_in_viewport()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play", exact=True).wait_for()
    for key, number in (("Home", "0"), ("ArrowUp", "1"), ("End", "4"), ("ArrowLeft", "3"), ("PageUp", "4")):
        roll.press(key)
        assert page.locator(".window.current").get_attribute("data-window") == number, key
    audio = page.locator("#timeline audio")
    assert audio.evaluate("audio => audio.paused")
    expect(page.locator(".window.current")).to_have_count(1)
    expect(page.locator("#timeline .now")).to_have_text(re.compile(r"^\w+ \d+%, "))


@ON_DESKTOP
def test_overlapping_windows_are_shown_and_explained(page, classifier, example):
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    page.get_by_role("button", name=texts.OVERLAP).click()
    page.get_by_label("A half").check()
    expect(page.locator("#timeline .window")).to_have_count(9, timeout=SECONDS)
    wait_for_prediction(page)
    page.wait_for_function("document.querySelector('#timeline audio').readyState > 0")
    page.locator("#timeline .roll").focus()
    for _ in range(5):  # the first one goes to the first window
        page.keyboard.press("ArrowRight")
    expect(page.locator(".window.current")).to_have_attribute("data-window", "4")
    page.keyboard.press("Enter")
    found = classifier.classify(example, overlap=texts.OVERLAPS["A half"]).windows[4]
    span = f"{clock(found.start)} to {clock(found.end)}"
    expect(page.locator("#timeline .why h3")).to_have_text(f"Why {found.genre}, {span}", timeout=SECONDS)


def test_no_tab_is_wider_than_the_screen(page, example):
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
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
def test_an_example_is_classified_after_a_click(page):
    page.get_by_role("button", name="Two radio stations").click()
    wait_for_prediction(page)
    expect(page.locator("#timeline .window")).to_have_count(14)


@ON_DESKTOP
def test_a_recording_is_classified(page, server, classifier, tmp_path):
    asked = "navigator.mediaDevices.getUserMedia({audio: true}).then((stream) => stream.getTracks()[0].getSettings())"
    settings = page.evaluate(asked)  # what a browser does for calls distorts music
    assert not any(settings[one] for one in ("echoCancellation", "noiseSuppression", "autoGainControl"))
    page.get_by_role("button", name="Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#song .duration")).to_have_text(re.compile("^0:(0[4-9]|[1-5])"), timeout=SECONDS)
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
def test_a_bad_file_is_one_sentence_and_the_page_continues_to_work(page, example, tmp_path):
    (tmp_path / "list.mp3").write_text("milk, bread")
    page.set_input_files(UPLOAD, tmp_path / "list.mp3")
    alert = page.locator("#prediction [role=alert]")
    expect(alert).to_contain_text("This is not an audio file that can be read", timeout=SECONDS)
    expect(page.locator("#timeline .window")).to_have_count(0)
    assert "Traceback" not in page.content() and str(tmp_path) not in page.content()

    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Drop a song, record a few seconds").wait_for()
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)


@ON_DESKTOP
def test_the_recorder_says_why_a_page_by_http_has_no_microphone(page):
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'mediaDevices', { value: undefined })")
    page.reload()
    page.get_by_role("button", name="Record audio").click()
    expect(page.locator("#prediction [role=alert]")).to_contain_text(texts.LIVE["SecurityError"])
    expect(page.get_by_text("No microphone found")).to_be_hidden()
