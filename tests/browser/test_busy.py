"""Several visitors of a page that classifies one file at a time and has one place in its queue."""

import os
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from genre.web import texts
from tests.browser.conftest import ON_DESKTOP, UPLOAD, visitor, wait_for_prediction
from tests.conftest import ROOT, music, running_app, write_audio


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    start = os.environ | {"GENRE_PARALLEL_JOBS": "1", "GENRE_MAX_WAITING": "1", "GENRE_MAX_SECONDS": "3600"}
    with running_app(ROOT, start, tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def concert(tmp_path_factory):
    """An hour of audio, which occupies the server."""
    sound = np.tile(music(10, 8000), 360)
    return write_audio(tmp_path_factory.mktemp("concert") / "concert.wav", [sound], "pcm_s16le", rate=8000)


@pytest.fixture
def visitors(browser, server):
    """Pages of two other visitors."""
    with visitor(browser, server) as first, visitor(browser, server) as second:
        yield first, second


@ON_DESKTOP
def test_one_is_classified_one_waits_and_one_is_refused(page, visitors, concert, example):
    first, second = visitors
    first.set_input_files(UPLOAD, concert)
    expect(first.locator("#prediction .coverage")).to_contain_text(texts.STILL_CLASSIFYING)
    second.set_input_files(UPLOAD, example)
    expect(second.locator("#prediction")).to_contain_text("queue: 1/1")
    expect(second.locator("#prediction")).to_contain_text(texts.CLASSIFYING)

    page.set_input_files(UPLOAD, example)
    expect(page.locator("#prediction [role=alert]")).to_contain_text(texts.BUSY)
    page.get_by_role("tab", name=texts.BATCH_TAB).click()
    page.set_input_files("#songs-drop input[type=file]", example)
    expect(page.locator("#batch [role=alert]")).to_have_text(texts.BUSY)
    expect(page.locator(".songs")).to_have_count(0)

    first.close()
    expect(second.locator("#prediction .coverage")).to_have_text(re.compile(r"windows?\.$"))
    page.set_input_files("#songs-drop input[type=file]", example)
    expect(page.locator(".songs tr.classified")).to_have_count(1)
    page.get_by_role("tab", name=texts.SONG_TAB).click()
    page.get_by_role("button", name="Clear").click()
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)


@ON_DESKTOP
def test_live_continues_after_a_refusal(page):
    page.get_by_role("tab", name=texts.LIVE_TAB).click()
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "Queue is full."}))
    page.get_by_role("button", name=texts.LIVE["start"]).click()
    expect(page.locator("#live-prediction [role=alert]")).to_contain_text(texts.BUSY)
    page.unroute("**/queue/join*")
    expect(page.locator("#live-prediction .bars li")).to_have_count(3)
