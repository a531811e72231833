"""Change of the model: labels, colours and card are updated; the page starts with a small model."""

import os
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from genre.inference.export import COLOURS
from genre.models.model import DEFAULT, GenreModel
from genre.web import texts
from tests.browser.conftest import ON_DESKTOP, UPLOAD, wait_for_prediction
from tests.conftest import ROOT, running_app
from tests.hub.test_publish import small_checkpoint

pytestmark = ON_DESKTOP

SMALL = ["Quiet", "Loud", "In between"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = small_checkpoint(tmp_path_factory.mktemp("checkpoints") / "small", SMALL)
    (folder / "README.md").write_text("# small\n\nNever trained.\n")
    start = os.environ | {"GENRE_CHECKPOINT": str(folder)}
    with running_app(ROOT, start, tmp_path_factory.mktemp("server")) as address:
        yield address


def shown(page):
    """Labels of the timeline with their colours."""
    return page.locator("#timeline .scale.genres span").evaluate_all(
        "all => Object.fromEntries(all.map((one) => [one.innerText, one.style.getPropertyValue('--colour')]))"
    )


def test_labels_colours_and_card_are_those_of_the_model(page, example):
    assert shown(page) == dict(zip(SMALL, COLOURS, strict=False))
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    expect(page.locator("#intro")).to_contain_text("3 genres: Quiet, Loud and In between.")
    assert set(shown(page)) == set(SMALL)

    page.get_by_role("button", name=texts.CARD).click()
    expect(page.locator("#card")).to_contain_text("Never trained.")
    page.locator("#model input").click()
    page.get_by_role("option", name=DEFAULT).click()
    shipped = GenreModel.from_pretrained()
    expect(page.locator("#intro")).to_contain_text(f"{len(shipped.labels)} genres")
    expect(page.locator("#timeline .scale.genres span")).to_have_count(len(shipped.labels))
    wait_for_prediction(page)
    expect(page.locator("#prediction h2")).to_have_text("Electronic")
    assert shown(page) == dict(zip(shipped.labels, COLOURS, strict=True))
    expect(page.locator("#about")).to_contain_text("its first guess was right for")
    expect(page.locator("#card")).to_contain_text("fma-small")
    expect(page.locator("#card")).not_to_contain_text("Never trained.")


def test_the_address_chooses_the_model_and_follows_the_choice(page, example):
    start = page.url
    page.goto(f"{start}?tab=a%26b&model={DEFAULT}")
    expect(page.locator("#intro")).to_contain_text("8 genres")
    expect(page.locator("#timeline .scale.genres span")).to_have_count(8)
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    expect(page.locator("#prediction h2")).to_have_text("Electronic")
    assert page.url == f"{start}?tab=a%26b&model={DEFAULT}"

    page.get_by_role("button", name=texts.CARD).click()
    name = page.locator("#model input")
    expect(name).to_have_value(DEFAULT)
    name.fill("user/repo")
    name.press("Enter")
    expect(page).to_have_url(f"{start}?tab=a%26b&model=user/repo")
    name.fill("hf-hub:user/repo@v1.0&x=<b>#?")
    name.press("Enter")
    expect(page).to_have_url(f"{start}?tab=a%26b&model=hf-hub%3Auser/repo%40v1.0%26x%3D%3Cb%3E%23%3F")
    page.reload()
    expect(page.locator("#intro [role=alert]")).to_contain_text("“hf-hub:user/repo@v1.0&x=<b>#?”")


def test_an_unknown_model_is_one_sentence_and_the_first_one_stays(page, example):
    start = page.url
    for asked in ("../../etc/passwd", "<img src=x onerror=alert(1)>", "a" * 3000):
        page.goto(f"{start}?model={quote(asked, safe='')}")
        expect(page.locator("#intro [role=alert]")).to_have_text(texts.NO_MODEL.format(name=asked[:80], first="small"))
        expect(page.locator("#intro")).to_contain_text("3 genres: Quiet, Loud and In between.")
        assert page.locator("#intro img").count() == 0
    page.set_input_files(UPLOAD, example)
    wait_for_prediction(page)
    assert set(shown(page)) == set(SMALL)
    page.wait_for_timeout(1000)  # the last message of this job must not come after the first one of the next

    page.get_by_role("button", name=texts.CARD).click()
    name = page.locator("#model input")
    name.fill("../../etc/passwd")
    name.press("Enter")
    expect(page.locator("#about [role=alert]")).to_have_text(texts.NO_SUCH_MODEL)
    expect(page.locator("#prediction [role=alert]")).to_contain_text(texts.NO_SUCH_MODEL)
    expect(page.locator("#card")).to_have_text("")

    name.fill(DEFAULT)
    name.press("Enter")
    expect(page.locator("#about")).to_contain_text("first guess was right")
    expect(page.locator("#prediction h2")).to_have_text("Electronic")
    page.get_by_role("tab", name=texts.BATCH_TAB).click()
    page.set_input_files("#songs-drop input[type=file]", example)
    expect(page.get_by_role("button", name=texts.CLEAR)).to_be_enabled()
    expect(page.locator(".songs td.genre")).to_have_text("Electronic")
