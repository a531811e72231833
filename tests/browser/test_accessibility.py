"""What screen readers, keyboards and weak eyes meet, by axe-core, in every state and on both themes."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.test_page import UPLOAD, wait_for_verdict

GRAVE = ("serious", "critical")


def grave_findings(page) -> list[str]:
    """Rule and place of each serious finding."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in violations
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_state_has_serious_findings(page, example, theme):
    page.emulate_media(color_scheme=theme)
    page.goto(f"{page.url}?__theme={theme}")
    page.get_by_text("Drop a song, record a few seconds").first.wait_for()
    assert grave_findings(page) == []
    page.set_input_files(UPLOAD, example)
    wait_for_verdict(page)
    page.locator("#timeline .roll").click(position={"x": 20, "y": 20})
    page.locator(".why h3").wait_for()
    assert grave_findings(page) == []
    for tab in ("Live", "Several songs"):
        page.get_by_role("tab", name=tab).click()
        assert grave_findings(page) == []
