"""Accessibility by axe-core, in every state of the page and on both themes."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from genre.web import texts
from tests.browser.conftest import THEMES, UPLOAD, wait_for_prediction

SEVERE = ("serious", "critical")
TRANSITIONS_END = """() => Promise.allSettled(
    document.getAnimations().filter((one) => one.effect.getTiming().iterations < Infinity).map((one) => one.finished)
)"""
LEFT_OUT = {"scrollable-region-focusable": {"enabled": False}}  # browsers scroll the wide tables of a card by keyboard


def severe_findings(page) -> list[str]:
    """Rule and place of each serious finding, once colours no longer change."""
    page.evaluate(TRANSITIONS_END)
    violations = Axe().run(page, options={"rules": LEFT_OUT}).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in violations
        if one["impact"] in SEVERE
        for node in one["nodes"]
    ]


@THEMES
def test_no_state_has_serious_findings(page, example, tmp_path, theme):
    page.emulate_media(color_scheme=theme)
    page.goto(f"{page.url}?__theme={theme}&model=none")
    page.locator("#intro [role=alert]").wait_for()
    assert severe_findings(page) == []
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    page.locator("#timeline .roll").click(position={"x": 20, "y": 20})
    page.locator(".why h3").wait_for()
    assert severe_findings(page) == []
    page.get_by_text(texts.CANNOT_KNOW, exact=True).click()
    page.get_by_role("button", name=texts.OVERLAP).click()
    windows = page.locator("#timeline .window")
    without_overlap = windows.count()
    page.get_by_label("A half").check()
    expect(windows).not_to_have_count(without_overlap)
    expect(page.get_by_role("button", name=texts.SONG_DOWNLOADS[-1])).to_be_enabled()
    assert severe_findings(page) == []
    page.get_by_role("button", name=texts.CARD).click()
    assert severe_findings(page) == []
    page.get_by_role("tab", name=texts.LIVE_TAB).click()
    assert severe_findings(page) == []

    (tmp_path / "list.mp3").write_text("milk, bread")
    page.get_by_role("tab", name=texts.BATCH_TAB).click()
    assert severe_findings(page) == []
    page.set_input_files("#songs-drop input[type=file]", [example, tmp_path / "list.mp3"])
    page.locator(".songs tr.failed").wait_for()
    page.locator(".songs tr.classified").click()
    page.locator("#batch-song .window").first.wait_for()
    assert severe_findings(page) == []
