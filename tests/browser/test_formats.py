import re

import pytest
from playwright.sync_api import expect

from genre.audio import SUFFIXES
from tests.browser.test_page import UPLOAD, wait_for_verdict
from tests.conftest import music, write_audio

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
UNWRITTEN = {".amr", ".ape"}  # which PyAV reads only


def test_the_list_is_whole():
    assert set(CODECS) | UNWRITTEN == SUFFIXES


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
@pytest.mark.parametrize("suffix", CODECS)
def test_a_song_of_every_format_is_heard(page, tmp_path, suffix):
    options = {"format": CONTAINERS[suffix]} if suffix in CONTAINERS else {}
    path = tmp_path / f"song{suffix}"
    write_audio(path, [music(7, 48000)] * 2, CODECS[suffix], rate=48000, video=FILMS.get(suffix), **options)
    page.set_input_files(UPLOAD, path)
    wait_for_verdict(page)
    expect(page.locator("#verdict .heard")).to_have_text(re.compile("^Heard 0:07 in 3 windows"))
