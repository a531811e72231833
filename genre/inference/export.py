"""Predictions as files for other programs and for people: JSON, CSV, label tracks, pictures, and names for them.

docs/output.md describes JSON and CSV. Label tracks are those of "Importing and Exporting Labels" in Audacity's manual:
plain text, a line a label with start, end and text separated by tabs. A picture has 1200 x 630 pixels, the size of the
previews of links.
"""

import csv
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TextIO

import fontpkg
from anyascii import anyascii
from pathvalidate import sanitize_filename
from PIL import Image, ImageColor, ImageDraw, ImageFont

from genre.errors import AudioError, GenreError
from genre.files import printable, replaced
from genre.inference.prediction import SILENCE_NAME, Prediction, Section, Window, clock

LABEL_TRACK, PICTURE = ".labels.txt", ".genre.png"  # suffixes of files that are made from a song

# CSV
COLUMNS = ("headline", "genre", "confidence", "is_music", "confident")  # between the file and the probabilities
YES_OR_NO = {True: "yes", False: "no"}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

# Pictures
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

# Eight colours that colour-blind people can tell apart (Okabe and Ito, 2008; grey instead of black for the dark theme).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c8c8c", "#e69f00", "#56b4e9", "#c9b100"]

# Names of files
MAX_BYTES = 120  # of UTF-8; file systems take 255, and a suffix and a number follow
UNNAMED = "song"
SONG_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
IN_ADDRESSES = str.maketrans("#%", "__")  # would end a file's address, or begin an escape in it


def to_row(file: str | Path, result: Prediction | AudioError) -> dict:
    """A dictionary for JSON: "file", and `Prediction.to_dict`, or "error" where there is no prediction."""
    content = {"error": str(result)} if isinstance(result, AudioError) else result.to_dict()
    return {"file": printable(file)} | content


def csv_writer(file: TextIO, labels: list[str]) -> Callable[[str | Path, Prediction | AudioError], None]:
    """Write the header of a table with a row a recording; returns a function that writes a row and flushes the file.

    Args:
        file: open for text, with `newline=""`.
        labels: of the model, a column each.
    """
    writer = csv.writer(file)
    writer.writerow(_cells(["file", *COLUMNS, *labels, "sections", "seconds", "notes", "error"]))
    file.flush()

    def write(path: str | Path, result: Prediction | AudioError) -> None:
        if isinstance(result, AudioError):
            cells: list[str | float] = [*[""] * (len(COLUMNS) + len(labels) + 3), str(result)]
        else:
            named = result.headline.text, result.genre, result.confidence
            flags = YES_OR_NO[result.is_music], YES_OR_NO[result.confident]
            probabilities = (result.probabilities[label] for label in labels)
            found, notes = format_sections(result.sections), " ".join(result.notes)
            cells = [*named, *flags, *probabilities, found, result.seconds, notes, ""]
        writer.writerow(_cells([printable(path), *cells]))
        file.flush()

    return write


def windows_csv_writer(file: TextIO, labels: list[str]) -> Callable[[str | Path, Prediction | AudioError], None]:
    """As `csv_writer`, with a row a window, and one a recording without a prediction.

    The genre of a silent window is "silence", and its probabilities are empty.
    """
    writer = csv.writer(file)
    writer.writerow(_cells(["file", "start", "end", "genre", *labels, "error"]))

    def write(path: str | Path, result: Prediction | AudioError) -> None:
        name = printable(path)
        if isinstance(result, AudioError):
            writer.writerow(_cells([name, *[""] * (len(labels) + 3), str(result)]))
            return
        for one in result.windows:
            probabilities = [one.probabilities.get(label, "") for label in labels]
            writer.writerow(_cells([name, one.start, one.end, one.genre or SILENCE_NAME, *probabilities, ""]))

    return write


def format_sections(found: Sequence[Section]) -> str:
    """Sections as text, such as "0:00 to 0:48 Folk, 0:48 to 2:39 Rock"."""
    return ", ".join(f"{clock(s.start)} to {clock(s.end)} {s.name}" for s in found)


def _cells(values: Sequence[str | float]) -> list[str]:
    """The cells of a row: text that is no formula, and numbers with 4 decimals."""
    return [_escape_formula(value) if isinstance(value, str) else f"{value:.4f}" for value in values]


def _escape_formula(text: str) -> str:
    """Protect against CSV injection: spreadsheets evaluate a cell that begins like a formula.

    File names and genres are untrusted input. The leading apostrophe marks a cell as text (OWASP, "CSV Injection").
    """
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def label_track(prediction: Prediction) -> str:
    """Labels "Section: Rock" for the sections, then "Window: Rock 62%" for the windows; times in seconds.

    The sections follow one another from 0 to the end of the recording.
    """
    found = [_label(one.start, one.end, f"Section: {one.name}") for one in prediction.sections]
    return "".join(found + [_label(one.start, one.end, f"Window: {_text(one)}") for one in prediction.windows])


def _text(window: Window) -> str:
    return f"{window.genre} {window.probabilities[window.genre]:.0%}" if window.genre else SILENCE_NAME


def _label(start: float, end: float, text: str) -> str:
    """One label; genres are names of folders and may hold tabs and line breaks."""
    return f"{start:.6f}\t{end:.6f}\t{' '.join(text.split())}\n"


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


def colour(genre: str, labels: list[str]) -> str:
    """Colour of a genre, by its position in `labels`, as #rrggbb."""
    return COLOURS[labels.index(genre) % len(COLOURS)]


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


def title(path: str | Path) -> str:
    """The name of a song for people: that of its file without folders and suffix, as valid and printable Unicode."""
    text = Path(printable(path)).stem
    return "".join(character for character in unicodedata.normalize("NFC", text) if character.isprintable()).strip()


def safe_name(path: str | Path) -> str:
    """A file name without suffix for a song, valid on every system.

    It has no separators, reserved names or control characters, and no dots, blanks or dashes at its ends.

    Args:
        path: of the song, or its name; may be hostile, empty or not UTF-8.
    """
    text = title(path).translate(IN_ADDRESSES)
    safe = sanitize_filename(text, replacement_text="_", platform="universal", max_len=MAX_BYTES)
    return safe.strip(" .-") or UNNAMED


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """A file name for each song of a run, which says of which song it is, and which no two have.

    It is `safe_name` and the song's suffix. Songs that share it, where the case of letters does not count, have their
    folder before it, and a number after it where they share that, too. The order of the songs makes no difference,
    except between songs with equal paths.
    """
    names = [safe_name(path) + _suffix(path) for path in paths]
    songs = Counter(name.casefold() for name in names)
    for i, path in enumerate(paths):
        folder = Path(printable(path)).parent.name
        if songs[names[i].casefold()] > 1 and folder:
            name = safe_name(f"{folder} - {title(path)}.")  # with an empty suffix, which `title` removes
            names[i] = name + _suffix(path)
    given: set[str] = set()
    numbers: Counter[str] = Counter()
    for i in sorted(range(len(paths)), key=lambda i: str(paths[i])):
        first = names[i]
        while names[i].casefold() in given:
            numbers[first] += 1
            names[i] = f"{first} {numbers[first] + 1}"
        given.add(names[i].casefold())
    return names


def _suffix(path: str | Path) -> str:
    """The suffix of a song, such as ".mp3"; empty where it is not made of a few letters and digits."""
    suffix = Path(printable(path)).suffix
    return suffix if SONG_SUFFIX.fullmatch(suffix) else ""


class SongOutputs:
    """Writes label tracks and pictures of the songs of a run into folders.

    Args:
        songs: the songs, by which the files are named.
        labels: of the model.
        label_tracks, pictures: folders, made if they are missing; None for none.

    Raises:
        GenreError: a folder cannot be written to.
    """

    def __init__(self, songs: list[Path], labels: list[str], label_tracks: Path | None, pictures: Path | None):
        self.labels, self.label_tracks, self.pictures = labels, label_tracks, pictures
        songs = list(dict.fromkeys(songs))
        self._names = dict(zip(songs, unique_names(songs), strict=True))
        for folder in filter(None, (label_tracks, pictures)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
            except OSError as error:
                raise _not_writable(folder, error) from error

    def write(self, song: Path, prediction: Prediction, spectrogram: Image.Image | None) -> None:
        """Write the files of a song; those of an earlier run are replaced.

        Raises:
            GenreError: a file cannot be written.
        """
        name = self._names[song]
        if self.label_tracks:
            text = label_track(prediction)
            _replace(self.label_tracks / f"{name}{LABEL_TRACK}", lambda file: file.write_text(text, encoding="utf-8"))
        if self.pictures and spectrogram:
            image = picture(prediction, self.labels, str(song), spectrogram)
            _replace(self.pictures / f"{name}{PICTURE}", lambda file: image.save(file, "png"))


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    try:
        with replaced(file) as new:
            write(new)
    except OSError as error:
        raise _not_writable(file, error) from error


def _not_writable(path: Path, error: OSError) -> GenreError:
    return GenreError(f"{path} cannot be written: {error.strerror}.")
