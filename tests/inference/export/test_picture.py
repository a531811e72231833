from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageColor

from genre.inference.export.picture import RIGHT, SIZE, SPECTROGRAM, STRIP, drawable, picture
from genre.inference.prediction import Prediction, Window
from genre.models.colours import colour

LABELS = ["Folk", "Rock"]
FOLK, ROCK = {"Folk": 0.9, "Rock": 0.1}, {"Rock": 0.8, "Folk": 0.2}
WINDOWS = [Window(3 * i, 3 * i + 3, FOLK if i < 16 else ROCK) for i in range(32)]
SONG = Prediction({"Folk": 0.6, "Rock": 0.4}, WINDOWS, 96.0, "made-up")
GREEN = Image.new("RGB", (300, 128), "#00ff00")


def drawn(prediction=SONG, labels=LABELS, song="song.mp3", address="https://example.org"):
    return picture(prediction, labels, song, GREEN, address)


def test_sections_are_in_their_colours_below_the_spectrogram():
    image = drawn()
    assert (image.size, image.mode) == (SIZE, "RGB")
    left, top, right, bottom = SPECTROGRAM
    assert (np.asarray(image)[top:bottom, left:right] == (0, 255, 0)).all()
    left, top, right, _ = STRIP
    for at, genre in ((0.05, "Folk"), (0.49, "Folk"), (0.51, "Rock"), (0.98, "Rock")):
        assert image.getpixel((left + at * (right - left), top + 4)) == ImageColor.getrgb(colour(genre, LABELS))


def test_silence_has_no_colour_of_a_genre():
    windows = [Window(3 * i, 3 * i + 3, FOLK if i < 16 else {}) for i in range(32)]
    image = drawn(Prediction(FOLK, windows, 96.0, "made-up"))
    last = image.getpixel((STRIP[2] - 8, STRIP[1] + 4))
    assert last not in {ImageColor.getrgb(colour(label, LABELS)) for label in LABELS}


def test_each_part_is_drawn():
    """Changes of title, prediction, length and address change the rows where they stand, and only those."""
    parts = slice(30, 100), slice(105, 280), slice(550, 620)  # title, headline, footer
    doubt = replace(SONG, confident=False, prediction_set=LABELS)
    others = {
        "title": drawn(song="another song.mp3"),
        "address": drawn(address="https://example.com"),
        "doubt": drawn(doubt),
        "not music": drawn(replace(SONG, is_music=False)),
    }
    plain = np.asarray(drawn())
    changed = {name: [bool((plain[p] != np.asarray(one)[p]).any()) for p in parts] for name, one in others.items()}
    assert changed == {
        "title": [True, False, False],
        "address": [False, False, True],
        "doubt": [False, True, False],
        "not music": [False, True, False],
    }


@pytest.mark.parametrize(
    "text", ["a" * 5000, "日本の歌" * 500, "🔥 مرحبا", "Ελληνικά हिन्दी Việt", "\udce9\0\n", "", "-"]
)
def test_any_text_is_drawn_within_the_margins(text):
    window = Window(0.0, 3.0, {text: 1.0})
    image = drawn(Prediction(window.probabilities, [window], 3.0, ""), [text], f"{text}.mp3", f"https://{text}")
    right_margin = np.asarray(image)[:, RIGHT + 4 :]
    assert (right_margin == right_margin[0, 0]).all()


def test_letters_that_the_font_lacks_are_transliterated():
    assert drawable("Jóga – Дорога Việt") == "Jóga – Дорога Việt"
    assert drawable("日本 🔥").isascii()
