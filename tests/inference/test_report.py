import csv
import io
import json

import pytest

from genre.errors import AudioError
from genre.inference.prediction import Prediction, Window
from genre.inference.report import rows, write_csv, write_json, write_windows_csv

LABELS = ["Folk", "Rock"]
FOLK, ROCK = {"Folk": 0.9, "Rock": 0.1}, {"Rock": 0.8, "Folk": 0.2}
SONG = Prediction(
    {"Folk": 0.6, "Rock": 0.4}, [Window(3 * i, 3 * i + 3, FOLK if i < 16 else ROCK) for i in range(32)], 96.0, "made-up"
)
RESULTS = [("song, with comma.mp3", SONG), ("broken.mp3", AudioError("This file is empty."))]


def written(writer, *arguments):
    """Rows by column, as a writer writes them, and how many files failed."""
    file = io.StringIO(newline="")
    failed = writer(*arguments, file)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline=""))), failed


def test_csv_has_one_row_per_file():
    (song, broken), failed = written(write_csv, RESULTS, LABELS)
    assert failed == 1
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
    table, failed = written(write_windows_csv, RESULTS, LABELS)
    assert failed == 1
    assert len(table) == 33
    assert (table[16]["start"], table[16]["end"], table[16]["genre"]) == ("48.0000", "51.0000", "Rock")
    assert table[16]["Rock"] == "0.8000"
    assert (table[32]["file"], table[32]["genre"], table[32]["error"]) == ("broken.mp3", "", "This file is empty.")


def test_silence_and_notes_are_written():
    windows = [Window(3 * i, 3 * i + 3, FOLK if i < 8 else {}) for i in range(16)]
    notes = ("Track 2 of 2 was used, the default one.", "Only 48 of 96 s could be decoded.")
    results = [("song.mp3", Prediction({"Folk": 0.9, "Rock": 0.1}, windows, 48.0, "made-up", notes=notes))]
    (summary,), _ = written(write_csv, results, LABELS)
    assert summary["notes"] == " ".join(notes)
    assert summary["sections"] == "0:00 to 0:24 Folk, 0:24 to 0:48 silence"
    table, _ = written(write_windows_csv, results, LABELS)
    assert [one["genre"] for one in table] == ["Folk"] * 8 + ["silence"] * 8
    assert [table[8][label] for label in LABELS] == ["", ""]
    (row,) = json.loads(json.dumps(list(rows(results))))
    assert row["notes"] == list(notes)
    assert [window["silent"] for window in row["windows"]] == [False] * 8 + [True] * 8
    assert row["windows"][8]["probabilities"] == {}
    assert row["sections"][1] == {"start": 24.0, "end": 48.0, "genre": None}


def test_json_has_predictions_sections_and_errors():
    file = io.StringIO()
    assert write_json(RESULTS, file) == 1
    song, broken = json.loads(file.getvalue())
    assert [song, broken] == list(rows(RESULTS))
    assert song == {"file": "song, with comma.mp3"} | SONG.to_dict()
    assert song["sections"][1] == {"start": 48.0, "end": 96.0, "genre": "Rock"}
    assert broken == {"file": "broken.mp3", "error": "This file is empty."}


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x","y").mp3', "+1.mp3", "-2.mp3", "@SUM(A1).mp3", "\t=1.mp3"])
def test_file_names_are_not_evaluated_as_formulas(name):
    for writer in (write_csv, write_windows_csv):
        table, _ = written(writer, [(name, SONG), (name, AudioError("@broken"))], LABELS)
        assert {row["file"] for row in table} == {"'" + name}
        assert table[-1]["error"] == "'@broken"
    assert next(rows([(name, SONG)]))["file"] == name


def test_genres_are_not_evaluated_as_formulas():
    """Genres of a trained model are folder names."""
    song = Prediction({"=1+1": 1.0}, [Window(0, 3, {"=1+1": 1.0})], 3.0, "made-up")
    (row,), _ = written(write_csv, [("song.mp3", song)], ["=1+1"])
    assert row["genre"] == "'=1+1" and row["'=1+1"] == "1.0000"


def test_csv_rows_are_written_as_results_arrive():
    file, written_rows = io.StringIO(newline=""), []

    def results():
        for result in RESULTS:
            written_rows.append(len(file.getvalue().splitlines()))
            yield result

    write_csv(results(), LABELS, file)
    assert written_rows == [1, 2]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_json_is_written_as_results_arrive_and_closed_when_interrupted(count):
    file = io.StringIO()

    def results():
        for number, result in enumerate(RESULTS[:count]):
            assert file.getvalue().count('"file"') == number
            yield result
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_json(results(), file)
    assert json.loads(file.getvalue()) == list(rows(RESULTS[:count]))
