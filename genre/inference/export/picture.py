"""A picture of a prediction to send to people: 1200 x 630 pixels, the size of the previews of links."""

from functools import cache, lru_cache
from pathlib import Path

import fontpkg
from anyascii import anyascii
from PIL import Image, ImageColor, ImageDraw, ImageFont

from genre.inference.export.names import title
from genre.inference.prediction import Prediction, Section, clock
from genre.models.colours import colour

SUFFIX = ".genre.png"
SIZE = WIDTH, HEIGHT = 1200, 630
LEFT, RIGHT, GAP = 56, WIDTH - 56, 16
SPECTROGRAM = LEFT, 302, RIGHT, 482  # left, top, right, bottom
STRIP = LEFT, 490, RIGHT, 542
STRIP_GAP, NAMED_FROM = 12, 90  # left and right of a name in the strip; width of the sections that have one
BACKGROUND, TEXT, SUBDUED, SILENCE = "#16151f", "#ffffff", "#c9c7d6", "#3a3846"
BLACK_TEXT_FROM = 117  # luma of a background on which black has more contrast than white
REGULAR, BOLD = 400, 700  # weights of the font
WIDTH_PERCENT = 100  # its other axis
SMALLEST = 30  # points; 10 on a phone, where the picture is about 390 pixels wide
MAX_CHARACTERS = 200  # of a line, before it is measured
LACKED = "\uffff"  # not a character: it is drawn as the box for all that a font lacks


def picture(
    prediction: Prediction, labels: list[str], song: str, spectrogram: Image.Image, address: str = ""
) -> Image.Image:
    """Draw title, genre, confidence, spectrogram, sections, and the address of the page.

    Args:
        labels: of the model.
        song: path or name of its file.
        spectrogram: of the recording; any size.
        address: of the page; empty if there is none.

    Returns:
        an RGB image of `SIZE`.
    """
    image = Image.new("RGB", SIZE, BACKGROUND)
    draw = ImageDraw.Draw(image)
    _write(draw, (LEFT, 64), title(song), 46, SUBDUED)
    draw.rounded_rectangle((LEFT, 112, LEFT + 18, 274), 9, colour(prediction.genre, labels))
    _write(draw, (LEFT + 42, 166), prediction.headline.text, 96, TEXT, BOLD)
    _write(draw, (LEFT + 42, 246), prediction.headline.detail, 42, SUBDUED)
    left, top, right, bottom = SPECTROGRAM
    image.paste(spectrogram.convert("RGB").resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))
    for section in prediction.sections:
        _draw_section(draw, section, prediction.seconds, labels)
    facts = f"{clock(prediction.seconds)}, nearest of {len(labels)} genres"
    width = _write(draw, (LEFT, 586), facts, 34, SUBDUED)
    font, text = _fit(address.partition("://")[2], 34, REGULAR, RIGHT - LEFT - width - 2 * GAP)
    draw.text((RIGHT, 586), text, SUBDUED, font, anchor="rm")
    return image


def drawable(text: str) -> str:
    """The text with characters that the font lacks replaced by their transliteration, such as "Ri Ben"."""
    return "".join(anyascii(one) if _is_lacking(one) else one for one in text[:MAX_CHARACTERS])


def _draw_section(draw: ImageDraw.ImageDraw, section: Section, seconds: float, labels: list[str]) -> None:
    """A box in the colour of the section's genre, with as much of the name as fits."""
    left, top, right, bottom = STRIP
    first, last = (left + round(at / seconds * (right - left)) for at in (section.start, section.end))
    fill = colour(section.genre, labels) if section.genre else SILENCE
    draw.rectangle((first, top, max(first, last - 3), bottom), fill)
    font, text = _fit(section.name, 32, REGULAR, last - first - 2 * STRIP_GAP)
    if last - first >= NAMED_FROM:
        draw.text((first + STRIP_GAP, (top + bottom) / 2), text, _text_colour(fill), font, anchor="lm")


def _text_colour(background: str) -> str:
    """Black or white, which has the higher contrast on a colour."""
    red, green, blue = ImageColor.getrgb(background)[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue >= BLACK_TEXT_FROM else "white"  # luma of BT.601


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill: str, weight: int = REGULAR
) -> float:
    """Draw a line that begins `at` this point, its vertical middle; returns its width in pixels."""
    font, text = _fit(text, size, weight, RIGHT - at[0])
    draw.text(at, text, fill, font, anchor="lm")
    return font.getlength(text)


def _fit(text: str, size: int, weight: int, most: float) -> tuple[ImageFont.FreeTypeFont, str]:
    """A font of at most `size` points in which the text is at most so wide; a long text is cut off."""
    text = drawable(text)
    for points in range(size, max(size // 2, SMALLEST) - 1, -2):
        font = _font(points, weight)
        if font.getlength(text) <= most:
            return font, text
    while text and font.getlength(f"{text}…") > most:
        text = text[:-1]
    return font, f"{text.rstrip()}…"


def _font(points: int, weight: int) -> ImageFont.FreeTypeFont:
    """Noto Sans: Latin, Greek, Cyrillic and Devanagari."""
    font = ImageFont.truetype(_font_file(), points)
    font.set_variation_by_axes([weight, WIDTH_PERCENT])
    return font


@cache
def _font_file() -> Path:
    return fontpkg.path("Noto Sans")


@lru_cache(4096)
def _is_lacking(character: str) -> bool:
    font = _font(SMALLEST, REGULAR)
    return bytes(font.getmask(character)) == bytes(font.getmask(LACKED))
