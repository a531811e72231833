import pytest

from genre.errors import DataError
from genre.files import MAX_GENRE_LENGTH, clean_genre, one_line, printable


def test_names_of_files_become_valid_unicode():
    assert printable("Bj\udcf6rk.mp3") == "Bj\ufffdrk.mp3"
    assert printable("Björk.mp3") == "Björk.mp3"


def test_names_on_a_terminal_are_one_line_without_control_characters():
    assert one_line("new\nline \x1b[2J\u2028.mp3") == "new\ufffdline \ufffd[2J\ufffd.mp3"
    assert one_line("日本\u3000の\xa0歌 👩‍🎤.mp3") == "日本\u3000の\xa0歌 👩‍🎤.mp3"


@pytest.mark.parametrize(
    ("name", "genre"), [("Rock", "Rock"), (" a\tb\x00c \n", "a b c"), ("<b>x</b>", "<b>x</b>"), ("P\udcf6p", "P p")]
)
def test_names_of_genres_are_cleaned(name, genre):
    assert clean_genre(name) == genre


@pytest.mark.parametrize("name", ["", " \n\t", "\x00", "x" * (MAX_GENRE_LENGTH + 1)])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(DataError):
        clean_genre(name)
