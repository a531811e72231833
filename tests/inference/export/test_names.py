import os

import pytest

from genre.inference.export.names import MAX_BYTES, safe_name, title, unique_names

HOSTILE = {
    "song.mp3": "song",
    "Album/01 Jóga.flac": "01 Jóga",
    "../../etc/passwd": "passwd",
    "..": "song",
    "...mp3": "song",
    "": "song",
    "/": "song",
    "-": "song",
    "--help.mp3": "help",
    ".hidden.mp3": "hidden",
    'a<b>c:"d|e?f*g\\h.mp3': "a_b_c__d_e_f_g_h",
    "50% #1.mp3": "50_ _1",
    "a\r\n\tb\0c\x1b[31m.mp3": "abc[31m",
    "gpj.\u202e3pm.exe": "gpj.3pm",
    "CON.mp3": "CON_",
    "日本.mp3": "日本",
}


@pytest.mark.parametrize(("path", "name"), HOSTILE.items())
def test_names_are_made_safe(path, name):
    assert safe_name(path) == name


@pytest.mark.parametrize("path", [os.fsdecode(b"caf\xe9.mp3"), "caf\ud800.mp3"])
def test_names_that_are_not_utf8_become_valid_unicode(path):
    assert safe_name(path) == title(path) == "caf\ufffd"


@pytest.mark.parametrize("letter", ["a", "é", "日", "🔥"])
def test_long_names_are_cut_between_characters(tmp_path, letter):
    name = safe_name(letter * 400 + ".mp3")
    assert set(name) == {letter}
    assert MAX_BYTES - 4 < len(name.encode()) <= MAX_BYTES
    (tmp_path / f"{name} 1000000.labels.txt").write_text("")


def test_the_name_says_which_song_it_is_whatever_the_order():
    """Also of one name in two formats, in two folders, and where the case of letters does not count."""
    expected = {
        "in/gap.mkv": "in - gap.mkv",
        "out/gap.mkv": "out - gap.mkv",
        "in/gap.mp4": "gap.mp4",
        "IN/X.mp3": "IN - X.mp3",
        "in/x.mp3": "in - x.mp3 2",
        "01": "01",
        "01.<b>": "01 2",
        "01 2.mp3": "01 2.mp3",
        "/a/CD1/01.mp3": "CD1 - 01.mp3",
        "/b/CD1/01.mp3": "CD1 - 01.mp3 2",
    }
    for order in (list(expected), list(reversed(expected))):
        assert dict(zip(order, unique_names(order), strict=True)) == expected


def test_a_thousand_songs_of_one_name_get_a_thousand_names():
    names = unique_names(["01.mp3"] * 1000)
    assert len({name.casefold() for name in names}) == 1000 and names[:2] == ["01.mp3", "01.mp3 2"]
