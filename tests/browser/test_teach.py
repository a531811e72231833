"""Teaching other genres: from dropped songs to a model on all tabs and in a folder."""

import re
import shutil
import zipfile

import pytest
from playwright.sync_api import expect

import genre
from genre.web import texts
from tests.browser.conftest import ON_DESKTOP, THEMES, UPLOAD, downloaded, fits, visitor, wait_for_prediction
from tests.browser.test_accessibility import severe_findings
from tests.conftest import write_audio
from tests.training.test_probe import NAMES, synthetic_song, write_collection

FOLDER, FILES = "#teach .folder input", "#taught-drop input[type=file]"
ROWS = ".songs.taught tbody tr"


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("teach") / "mine")


@pytest.fixture
def new_song(tmp_path):
    """A song of the second genre that is not in the collection."""
    return write_audio(tmp_path / "new.flac", [synthetic_song(NAMES[1], 99)], "flac")


def open_tab(page):
    page.get_by_role("tab", name=texts.TEACH_TAB).click()
    page.locator("#teach").get_by_role("button", name=texts.FOLDER).wait_for()


@pytest.fixture
def teach_page(page):
    open_tab(page)
    return page


def drop(page, *files, genre_name=""):
    page.get_by_label(texts.TEACH_GENRE).fill(genre_name)
    page.set_input_files(FILES, files)


def train(page):
    page.get_by_role("button", name=texts.TRAIN, exact=True).click()


def alert(page):
    return page.locator("#teach [role=alert]")


def teach(page, folder):
    page.set_input_files(FOLDER, folder)
    expect(page.locator(ROWS)).to_have_count(8)
    train(page)
    expect(page.locator(".learned h2")).to_have_text("8 of 8 songs right")


def probabilities(page):
    """Of the first three genres on the card, in percent."""
    return page.locator("#prediction .bars li").evaluate_all(
        "all => Object.fromEntries(all.map((one) => [one.children[0].innerText, one.children[2].innerText]))"
    )


def test_a_folder_becomes_a_model_on_all_tabs_and_in_a_zip(teach_page, collection, new_song, tmp_path):
    page = teach_page
    teach(page, collection)
    assert fits(page)
    expect(page.locator(".learned")).to_contain_text("8 songs name no artist")
    expect(page.locator(".confusion tbody tr")).to_have_count(2)
    expect(page.locator("#intro")).to_contain_text("2 genres: Buzz and Hiss.")
    expect(page.locator("#about")).to_contain_text("Learned from 8 songs, on top of the networks of fma-small.")

    page.get_by_role("tab", name=texts.SONG_TAB, exact=True).click()
    page.set_input_files(UPLOAD, new_song)
    wait_for_prediction(page)
    shown = probabilities(page)
    expect(page.locator("#timeline .scale.genres span")).to_have_count(2)

    page.get_by_role("tab", name=texts.BATCH_TAB).click()
    page.set_input_files("#songs-drop input[type=file]", new_song)
    expect(page.locator("#batch .songs td.genre")).to_have_text(re.compile("Buzz|Hiss|not music"))

    open_tab(page)
    archive = downloaded(page, texts.TEACH_DOWNLOAD, tmp_path)
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    classifier = genre.load(tmp_path / "my-genres")
    prediction = classifier.classify(new_song)
    assert prediction.genre == NAMES[1]
    assert shown == {name: f"{p:.0%}" for name, p in prediction.probabilities.items()}
    assert "A linear probe" in classifier.model.card

    page.get_by_role("tab", name=texts.LIVE_TAB).click()
    page.get_by_role("button", name=texts.LIVE["start"]).click()
    expect(page.locator("#live-prediction .bars li")).to_have_count(2)


@THEMES
def test_songs_are_moved_removed_and_learned_from_again(page, collection, theme):
    page.goto(f"{page.url}?__theme={theme}")
    open_tab(page)
    assert severe_findings(page) == []
    for name in NAMES:
        drop(page, *sorted((collection / name).glob("*.flac")), genre_name=name)
        expect(page.locator(ROWS).filter(has_text="Waiting")).to_have_count(4 * (NAMES.index(name) + 1))
    page.get_by_label("Genre of 0.flac").first.select_option("Hiss")
    expect(page.locator("#teach .genre select >> nth=3")).to_have_value("Hiss")
    assert severe_findings(page) == []
    train(page)
    expect(page.locator(".learned h2")).to_have_text(re.compile(r"\d of 8 songs right"))
    expect(page.locator(".learned li").first).to_contain_text("0.flac, Hiss: got Buzz")
    assert severe_findings(page) == []

    remove = page.get_by_role("button", name="Remove 0.flac")
    remove.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(ROWS)).to_have_count(7)
    expect(page.locator(".learned")).to_have_count(0)
    assert page.evaluate("document.activeElement.closest('.songs.taught') !== null")
    train(page)
    expect(page.locator(".learned h2")).to_have_text(re.compile(r"\d of 7 songs right"))

    page.get_by_role("button", name=texts.TEACH_CLEAR).click()
    expect(page.locator(ROWS)).to_have_count(0)
    expect(page.locator("#intro")).to_contain_text("8 genres")
    assert fits(page)


@ON_DESKTOP
def test_bad_input_is_a_sentence(teach_page, collection, tmp_path):
    page = teach_page
    songs = sorted((collection / "Hiss").glob("*.flac"))
    drop(page, *songs)
    expect(alert(page)).to_have_text(texts.NO_GENRE)
    drop(page, *songs, genre_name="<img src=x onerror=alert(1)>")
    expect(page.locator(ROWS)).to_have_count(4)
    expect(page.get_by_label("Genre of 0.flac")).to_have_value("<img src=x onerror=alert(1)>")
    train(page)
    expect(alert(page)).to_contain_text("At least two genres are needed, and all songs are <img")
    assert page.locator("#teach img").count() == 0

    copy = shutil.copy(songs[1], tmp_path / "copy.flac")
    broken = tmp_path / "broken.mp3"
    broken.write_text("milk, bread")
    drop(page, copy, broken, genre_name="Other")
    expect(page.locator(ROWS)).to_have_count(6)
    train(page)
    expect(alert(page)).to_contain_text("1.flac in <img")
    expect(alert(page)).to_contain_text("are the same recording. Leave each in one genre.")
    expect(page.locator("tr.failed")).to_contain_text("This is not an audio file that can be read")
    assert "Traceback" not in page.content() and str(tmp_path) not in page.content()
    assert fits(page)


@ON_DESKTOP
def test_all_songs_of_a_folder_are_sorted_and_a_stop_keeps_what_was_read(teach_page, tmp_path):
    """Also where they are many, and one lies beside the sub-folders."""
    page, folder = teach_page, write_collection(tmp_path / "mine", count=7, seconds=30)  # read for several seconds
    shutil.copy(folder / NAMES[0] / "0.flac", folder / "Intro.flac")
    page.set_input_files(FOLDER, folder)
    expect(page.locator(ROWS)).to_have_count(14)
    expect(page.locator("#teach")).to_contain_text(texts.outside_of_folders(1))
    expect(page.locator("#teach")).to_contain_text("14 songs of 2 genres")
    train(page)
    page.locator("#teach").get_by_role("button", name=texts.STOP, exact=True).click()
    expect(alert(page)).to_have_text(texts.TEACH_STOPPED)
    train(page)
    expect(page.locator(".learned h2")).to_have_text("14 of 14 songs right")


def test_two_visitors_teach_at_once_and_see_their_own_model_only(browser, server, collection):
    with (
        visitor(browser, server) as first,
        visitor(browser, server) as second,
        visitor(browser, server) as other,
    ):
        for page, names in ((first, ("A", "B")), (second, ("C", "D"))):
            open_tab(page)
            for folder, name in zip(NAMES, names, strict=True):
                drop(page, *sorted((collection / folder).glob("*.flac")), genre_name=name)
                expect(page.get_by_label(re.compile("Genre of ")).first).to_be_visible()
                expect(page.locator(ROWS)).to_have_count(4 if name in "AC" else 8)
        for page in (first, second):
            train(page)
        for page, names in ((first, "A and B"), (second, "C and D")):
            expect(page.locator(".learned")).to_be_visible()
            expect(page.locator("#intro")).to_contain_text(f"2 genres: {names}.")
        other.get_by_role("button", name=texts.CARD).click()
        other.locator("#model input").click()
        expect(other.get_by_role("option")).to_have_count(len(genre.available()))
        expect(other.locator("#intro")).to_contain_text("8 genres")
