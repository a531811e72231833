import csv
import io
import json

import pytest

from genre.errors import AudioError
from genre.inference.classify import Prediction, Window
from genre.inference.report import in_words, rows, write_csv, write_json, write_windows_csv
from genre.inference.sections import Section

LABELS = ["Folk", "Rock"]
FOLK, ROCK = {"Folk": 0.9, "Rock": 0.1}, {"Rock": 0.8, "Folk": 0.2}
SONG = Prediction(
    {"Folk": 0.6, "Rock": 0.4}, [Window(3 * i, 3 * i + 3, FOLK if i < 16 else ROCK) for i in range(32)], 96.0, "made-up"
)
RESULTS = [("song, with comma.mp3", SONG), ("broken.mp3", AudioError("This file is empty."))]


def written(writer, *arguments):
    """What a writer writes, as lines by column, and how many files failed."""
    file = io.StringIO(newline="")
    failed = writer(*arguments, file)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline=""))), failed


def test_a_line_a_file():
    (song, broken), failed = written(write_csv, RESULTS, LABELS)
    assert failed == 1
    assert song == {
        "file": "song, with comma.mp3",
        "genre": "Folk",
        "confidence": "0.6000",
        "Folk": "0.6000",
        "Rock": "0.4000",
        "sections": "0:00 to 0:48 Folk, 0:48 to 1:36 Rock",
        "seconds": "96.0000",
        "notes": "",
        "error": "",
    }
    assert broken["error"] == "This file is empty."
    assert not any(broken[column] for column in broken if column not in ("file", "error"))


def test_a_line_a_window():
    lines, failed = written(write_windows_csv, RESULTS, LABELS)
    assert failed == 1
    assert len(lines) == 33
    assert (lines[16]["start"], lines[16]["end"], lines[16]["genre"]) == ("48.0000", "51.0000", "Rock")
    assert lines[16]["Rock"] == "0.8000"
    assert (lines[32]["file"], lines[32]["genre"], lines[32]["error"]) == ("broken.mp3", "", "This file is empty.")


def test_silence_and_notes_are_told():
    windows = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {}) for i in range(16)]
    notes = ["Track 2 of 2 was used, the default one.", "Only 48 of 96 s could be decoded."]
    results = [("song.mp3", Prediction({"Folk": 0.9, "Rock": 0.1}, windows, 48.0, "made-up", notes=notes))]
    (line,), _ = written(write_csv, results, LABELS)
    assert line["notes"] == " ".join(notes)
    assert line["sections"] == "0:00 to 0:24 Folk, 0:24 to 0:48 silence"
    lines, _ = written(write_windows_csv, results, LABELS)
    assert [one["genre"] for one in lines] == ["Folk"] * 8 + ["silence"] * 8
    assert [lines[8][label] for label in LABELS] == ["", ""]
    (row,) = json.loads(json.dumps(list(rows(results))))
    assert row["notes"] == notes
    assert [window["silent"] for window in row["windows"]] == [False] * 8 + [True] * 8
    assert row["windows"][8]["probabilities"] == {}
    assert row["sections"][1] == {"start": 24.0, "end": 48.0, "genre": None}


def test_json_holds_everything():
    file = io.StringIO()
    assert write_json(RESULTS, file) == 1
    song, broken = json.loads(file.getvalue())
    assert [song, broken] == list(rows(RESULTS))
    assert song == {"file": "song, with comma.mp3"} | SONG.to_dict() | {"sections": song["sections"]}
    assert song["sections"][1] == {"start": 48.0, "end": 96.0, "genre": "Rock"}
    assert broken == {"file": "broken.mp3", "error": "This file is empty."}


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x","y").mp3', "+1.mp3", "-2.mp3", "@SUM(A1).mp3", "\t=1.mp3"])
def test_names_never_become_formulas(name):
    for writer in (write_csv, write_windows_csv):
        lines, _ = written(writer, [(name, SONG), (name, AudioError("@broken"))], LABELS)
        assert {line["file"] for line in lines} == {"'" + name}
        assert lines[-1]["error"] == "'@broken"
    assert next(rows([(name, SONG)]))["file"] == name


def test_genres_never_become_formulas():
    """They are names of folders."""
    song = Prediction({"=1+1": 1.0}, [Window(0, 3, {"=1+1": 1.0})], 3.0, "made-up")
    (line,), _ = written(write_csv, [("song.mp3", song)], ["=1+1"])
    assert line["genre"] == "'=1+1" and line["'=1+1"] == "1.0000"


def test_a_name_that_is_not_utf8_can_be_written(tmp_path):
    name = b"caf\xe9.mp3".decode("utf-8", "surrogateescape")
    with (tmp_path / "genres.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv([(name, SONG)], LABELS, file)
    assert "caf\ufffd.mp3" in (tmp_path / "genres.csv").read_text(encoding="utf-8")


def test_lines_are_written_as_results_come():
    file, seen = io.StringIO(newline=""), []

    def results():
        for result in RESULTS:
            seen.append(len(file.getvalue().splitlines()))
            yield result

    write_csv(results(), LABELS, file)
    assert seen == [1, 2]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_json_is_written_as_results_come_and_closed_where_they_break_off(count):
    file = io.StringIO()

    def results():
        for number, result in enumerate(RESULTS[:count]):
            assert file.getvalue().count('"file"') == number
            yield result
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_json(results(), file)
    assert json.loads(file.getvalue()) == list(rows(RESULTS[:count]))


def test_sections_in_words():
    assert in_words([Section(0, 47.6, "Folk"), Section(47.6, 159.2, "Rock")]) == "0:00 to 0:48 Folk, 0:48 to 2:39 Rock"
