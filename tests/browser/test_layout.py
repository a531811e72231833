"""Layout: nothing overlaps, nothing moves between states, nothing is wider than the screen."""

from itertools import combinations

from playwright.sync_api import expect

from genre.web import texts
from genre.web.teach import texts as teach_texts
from tests.browser.conftest import THEMES
from tests.browser.test_page import SECONDS, UPLOAD, wait_for_prediction

APART = [  # groups of elements that must not overlap
    "#intro h1, #intro p, #song, #prediction .prediction, #examples, #timeline .timeline, "
    "#song-downloads button, .why, #about, .label-wrap",
    "#prediction .prediction > *",
    "#prediction .bars li > *",
    "#timeline .player > *",
    "#timeline .plot, #timeline .scale.genres span, #timeline .ticks",
    "#timeline .plot, #timeline .scale:not(.genres) span",
    "#timeline .ticks span",
    ".why img, .why figcaption, .why h3, .why .bars li",
]
BOXES = """(selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility()).map((one) => {
    const { left, top, right, bottom } = one.getBoundingClientRect();
    return { name: `${one.tagName}.${one.className} ${one.innerText?.slice(0, 20)}`, left, top, right, bottom };
})"""
PLACES = """(selectors) => selectors.map((selector) => {
    const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
    return { selector, x, y, width, height };
})"""
ELEMENTS = [
    "#song",
    "#prediction .prediction",
    "#examples",
    "#timeline .timeline",
    "#timeline .roll",
    "#song-downloads",
    "#overlap",
    "#about",
]


def overlap(one, other):
    """Whether two boxes share more than a line of a pixel."""
    return (
        min(one["right"], other["right"]) - max(one["left"], other["left"]) > 1
        and min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) > 1
    )


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@THEMES
def test_nothing_overlaps_in_a_result(page, example, size, theme):
    page.goto(f"{page.url}?__theme={theme}")
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    page.locator("#timeline .roll").click(position={"x": 20, "y": 20})
    page.locator(".why h3").wait_for(timeout=SECONDS)
    page.wait_for_function("document.querySelector('.why img').complete")
    for group in APART:
        boxes = page.evaluate(BOXES, group)
        assert len(boxes) > 1
        assert [(one["name"], other["name"]) for one, other in combinations(boxes, 2) if overlap(one, other)] == []
        assert [one["name"] for one in boxes if one["left"] < 0 or one["right"] > size["width"]] == []


@THEMES
def test_no_tab_is_wider_than_the_screen(page, example, theme):
    page.goto(f"{page.url}?__theme={theme}")
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    assert fits(page)
    for tab in (texts.LIVE_TAB, texts.BATCH_TAB, teach_texts.TAB):
        page.get_by_role("tab", name=tab).click()
        assert fits(page)
    page.get_by_role("button", name=texts.CARD).click()
    page.get_by_role("button", name=texts.SNIPPETS).click()
    for tab in ("Python", "curl", "MCP"):
        page.get_by_role("tab", name=tab).click()
        page.locator("#snippets .cm-content:visible").wait_for()
        assert fits(page)


def test_nothing_jumps_from_the_empty_page_to_the_result_and_back(page, example, tmp_path):
    def places():
        for element in ELEMENTS:
            page.locator(element).wait_for()
        # In one call, since an element may be replaced between two.
        return page.evaluate(PLACES, ELEMENTS)

    empty = places()
    page.set_input_files(UPLOAD, example)
    page.get_by_text(texts.CLASSIFYING).wait_for()
    assert places() == empty
    wait_for_prediction(page)
    assert places() == empty
    page.get_by_role("button", name="Clear").click()
    page.get_by_text(texts.EMPTY).wait_for()
    (tmp_path / "list.mp3").write_text("milk, bread")
    page.set_input_files(UPLOAD, tmp_path / "list.mp3")
    expect(page.locator("#prediction [role=alert]")).to_be_visible(timeout=SECONDS)
    assert places() == empty
