"""The page in a real headless Chromium."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from genre.audio.audio import Audio
from genre.web import texts
from tests.conftest import write_audio

SECONDS = 120_000  # milliseconds, for which tests wait for anything; a machine may be slow
expect.set_options(timeout=SECONDS)

UPLOAD = "#song input[type=file]"

FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --use-fake-ui-for-media-stream --use-fake-device-for-media-stream
    --autoplay-policy=no-user-gesture-required""".split()

ON_DESKTOP = pytest.mark.parametrize("size", ["desktop"], indirect=True)  # for tests whose path is the same on a phone
THEMES = pytest.mark.parametrize(("size", "theme"), [("desktop", "light"), ("phone", "dark")], indirect=["size"])


@pytest.fixture(scope="session")
def microphone_file(tmp_path_factory, example):
    """Recording of the fake microphone: an example, which Chromium repeats."""
    song = Audio(example).samples(48000)
    return write_audio(tmp_path_factory.mktemp("microphone") / "music.wav", [song], "pcm_s16le", rate=48000)


@pytest.fixture(scope="session")
def browser(microphone_file) -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*FLAGS, f"--use-file-for-fake-audio-capture={microphone_file}"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=["desktop", "phone"])
def size(request) -> dict:
    return {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}[request.param]


@contextmanager
def visitor(browser: Browser, server: str, **options) -> Iterator[Page]:
    """The page as it opens for a new visitor; no script of it may fail."""
    context = browser.new_context(**options)
    context.set_default_timeout(SECONDS)
    page = context.new_page()
    failures = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(server)
    page.get_by_text(texts.EMPTY).wait_for()
    yield page
    context.close()
    assert not failures


@pytest.fixture
def page(browser, server, size) -> Iterator[Page]:
    with visitor(browser, server, viewport=size, permissions=["microphone"]) as page:
        yield page


def wait_for_prediction(page):
    expect(page.locator("#prediction .coverage")).to_have_text(re.compile(r"windows?\.$"))


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def downloaded(page, name, folder):
    with page.expect_download() as download:
        page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).first.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path
