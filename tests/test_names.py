import pytest

from genre.errors import DataError
from genre.names import MAX_GENRE_LENGTH, clean_genre, printable


def test_names_of_files_become_valid_unicode():
    assert printable("Bj\udcf6rk.mp3") == "Bj\ufffdrk.mp3"
    assert printable("Björk.mp3") == "Björk.mp3"


@pytest.mark.parametrize(
    ("name", "genre"), [("Rock", "Rock"), (" a\tb\x00c \n", "a b c"), ("<b>x</b>", "<b>x</b>"), ("P\udcf6p", "P p")]
)
def test_names_of_genres_are_cleaned(name, genre):
    assert clean_genre(name) == genre


@pytest.mark.parametrize("name", ["", " \n\t", "\x00", "x" * (MAX_GENRE_LENGTH + 1)])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(DataError):
        clean_genre(name)
