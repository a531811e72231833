import csv
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageColor

from genre.errors import AudioError
from genre.files import json_list
from genre.inference.export import (
    MAX_BYTES,
    SIZE,
    SPECTROGRAM,
    STRIP,
    colour,
    csv_writer,
    drawable,
    label_track,
    picture,
    safe_name,
    to_row,
    unique_names,
    windows_csv_writer,
)
from genre.inference.prediction import Prediction, Window
from tests.conftest import ROOT

LABELS = ["Folk", "Rock"]
FOLK, ROCK = {"Folk": 0.9, "Rock": 0.1}, {"Rock": 0.8, "Folk": 0.2}
SONG = Prediction(
    {"Folk": 0.6, "Rock": 0.4}, [Window(3 * i, 3 * i + 3, FOLK if i < 16 else ROCK) for i in range(32)], 96.0, "made-up"
)
RESULTS = [("song, with comma.mp3", SONG), ("broken.mp3", AudioError("This file is empty."))]


def written(writer, results=RESULTS, labels=LABELS):
    """Rows by column, as a writer writes them."""
    file = io.StringIO(newline="")
    write = writer(file, labels)
    for number, (path, result) in enumerate(results):
        write(path, result)
        assert writer is windows_csv_writer or file.getvalue().count("\r\n") == number + 2  # at once
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def test_csv_has_one_row_per_file():
    song, broken = written(csv_writer)
    assert song == {
        "file": "song, with comma.mp3",
        "headline": "Folk",
        "genre": "Folk",
        "confidence": "0.6000",
        "is_music": "yes",
        "confident": "yes",
        "Folk": "0.6000",
        "Rock": "0.4000",
        "sections": "0:00 to 0:48 Folk, 0:48 to 1:36 Rock",
        "seconds": "96.0000",
        "notes": "",
        "error": "",
    }
    assert broken["error"] == "This file is empty."
    assert not any(broken[column] for column in broken if column not in ("file", "error"))


def test_windows_csv_has_one_row_per_window():
    table = written(windows_csv_writer)
    assert len(table) == 33
    assert (table[16]["start"], table[16]["end"], table[16]["genre"]) == ("48.0000", "51.0000", "Rock")
    assert table[16]["Rock"] == "0.8000"
    assert (table[32]["file"], table[32]["genre"], table[32]["error"]) == ("broken.mp3", "", "This file is empty.")


def test_silence_and_notes_are_written():
    windows = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {}) for i in range(16)]
    notes = ("Track 2 of 2 was used, the default one.", "Only 48 of 96 s could be decoded.")
    song = Prediction({"Folk": 0.9, "Rock": 0.1}, windows, 48.0, "made-up", notes=notes)
    (summary,) = written(csv_writer, [("song.mp3", song)])
    assert summary["notes"] == " ".join(notes)
    assert summary["sections"] == "0:00 to 0:24 Folk, 0:24 to 0:48 silence"
    table = written(windows_csv_writer, [("song.mp3", song)])
    assert [one["genre"] for one in table] == ["Folk"] * 8 + ["silence"] * 8
    assert [table[8][label] for label in LABELS] == ["", ""]
    row = json.loads(json.dumps(to_row("song.mp3", song)))
    assert row["notes"] == list(notes)
    assert [window["silent"] for window in row["windows"]] == [False] * 8 + [True] * 8
    assert row["windows"][8]["probabilities"] == {}
    assert row["sections"][1] == {"start": 24.0, "end": 48.0, "genre": None}


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x","y").mp3', "+1.mp3", "-2.mp3", "@SUM(A1).mp3", "\t=1.mp3"])
def test_names_of_files_and_genres_are_not_evaluated_as_formulas(name):
    for writer in (csv_writer, windows_csv_writer):
        table = written(writer, [(name, SONG), (name, AudioError("@broken"))])
        assert {row["file"] for row in table} == {"'" + name}
        assert table[-1]["error"] == "'@broken"
    assert to_row(name, SONG)["file"] == name
    song = Prediction({name: 1.0}, [Window(0, 3, {name: 1.0})], 3.0, "made-up")  # genres are names of folders
    (row,) = written(csv_writer, [("song.mp3", song)], [name])
    assert row["genre"] == "'" + name and row["'" + name] == "1.0000"


def test_json_is_written_as_results_arrive_and_closed_when_interrupted():
    for count in range(3):
        file, rows = io.StringIO(), [to_row(*result) for result in RESULTS[:count]]
        with pytest.raises(KeyboardInterrupt), json_list(file) as append:
            for number, row in enumerate(rows):
                assert file.getvalue().count('"file"') == number
                append(row)
            raise KeyboardInterrupt
        assert json.loads(file.getvalue()) == rows
    assert rows == [{"file": RESULTS[0][0]} | SONG.to_dict(), {"file": "broken.mp3", "error": "This file is empty."}]


def parsed(text):
    """(start, end, label) of each line."""
    lines = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    return [(float(start), float(end), label) for start, end, label in lines]


def of_kind(labels, kind):
    return [one for one in labels if one[2].startswith(f"{kind}: ")]


def test_sections_and_windows_are_labels_of_their_own():
    windows = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {} if i < 16 else ROCK) for i in range(24)]
    labels = parsed(label_track(Prediction(FOLK, windows, 72.0, "made-up")))
    assert of_kind(labels, "Section") == [
        (0, 24, "Section: Folk"),
        (24, 48, "Section: silence"),
        (48, 72, "Section: Rock"),
    ]
    assert of_kind(labels, "Window")[7:9] == [(21, 24, "Window: Folk 90%"), (24, 27, "Window: silence")]
    assert len(labels) == 3 + 24


def test_a_genre_with_tabs_and_line_breaks_stays_one_label():
    window = Window(0.0, 3.0, {"Folk\t9\n1\t2": 1.0})
    text = label_track(Prediction(window.probabilities, [window], 3.0, "made-up"))
    assert parsed(text) == [(0, 3, "Section: Folk 9 1 2"), (0, 3, "Window: Folk 9 1 2 100%")]


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
    "caf\udce9.mp3": "caf\ufffd",
}


@pytest.mark.parametrize(("path", "name"), HOSTILE.items())
def test_names_are_made_safe(path, name):
    assert safe_name(path) == name


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


def test_the_documented_example_is_what_is_written(classifier):
    text = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    documented = json.loads(text.split("```json\n")[1].split("```")[0])
    row = to_row("examples/radio.mp3", classifier.classify(ROOT / "examples" / "radio.mp3"))
    row["windows"] = row["windows"][:2]
    assert list(row) == list(documented)
    assert_close(json.loads(json.dumps(row)), documented)
    assert all(f"`{field}`" in text for field in documented)


def assert_close(value, expected):
    """Equal, but for probabilities, which differ a little between processors."""
    assert type(value) is type(expected)
    if isinstance(value, dict):
        assert value.keys() == expected.keys()
        for key in expected:
            assert_close(value[key], expected[key])
    elif isinstance(value, list):
        assert len(value) == len(expected)
        for one, other in zip(value, expected, strict=True):
            assert_close(one, other)
    else:
        assert value == (pytest.approx(expected, abs=2e-3) if isinstance(value, float) else expected)
