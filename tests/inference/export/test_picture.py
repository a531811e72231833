import numpy as np
import pytest
from PIL import Image, ImageColor

from genre.inference.export.picture import SIZE, SPECTROGRAM, STRIP, drawable, picture
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


@pytest.mark.parametrize(
    "text", ["a" * 5000, "日本の歌" * 500, "🔥 مرحبا", "Ελληνικά हिन्दी Việt", "\udce9\0\n", "", "-"]
)
def test_any_text_is_drawn(text):
    window = Window(0.0, 3.0, {text: 1.0})
    image = drawn(Prediction(window.probabilities, [window], 3.0, ""), [text], f"{text}.mp3", f"https://{text}")
    assert image.size == SIZE


def test_letters_that_the_font_lacks_are_transliterated():
    assert drawable("Jóga – Дорога Việt") == "Jóga – Дорога Việt"
    assert drawable("日本 🔥").isascii()
