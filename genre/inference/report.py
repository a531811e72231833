"""Predictions for a batch of files as JSON and CSV.

`results` are pairs of a file and its Prediction, or the AudioError why there is none. Each writer writes a result as
soon as it is available, and returns the number of files that failed. Open files for CSV with `newline=""`.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from genre.errors import AudioError
from genre.files import json_list, printable
from genre.inference.prediction import SILENCE_NAME, Prediction, Section, clock

Results = Iterable[tuple[str | Path, Prediction | AudioError]]

CSV_START = ("headline", "genre", "confidence", "is_music", "confident")
YES_OR_NO = {True: "yes", False: "no"}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def rows(results: Results) -> Iterator[dict]:
    """One dictionary per file, ready for JSON: "file" with `Prediction.to_dict`, or with "error"."""
    for path, result in results:
        row = {"file": printable(path)}
        if isinstance(result, AudioError):
            yield row | {"error": str(result)}
        else:
            yield row | result.to_dict()


def write_json(results: Results, file: TextIO) -> int:
    """Write a JSON list of `rows`; file names are not changed to protect spreadsheets, as in CSV."""
    with json_list(file) as append:
        return append_rows(results, append)


def append_rows(results: Results, append: Callable[[dict], None]) -> int:
    """As `write_json`, through the `append` of an open `genre.files.json_list`."""
    failed = 0
    for row in rows(results):
        append(row)
        failed += "error" in row
    return failed


def write_csv(results: Results, labels: list[str], file: TextIO) -> int:
    """One row per file: as in `Prediction.to_dict`, with a column per label; sections, seconds, notes and error."""
    writer = csv.writer(file)
    writer.writerow(_cells(["file", *CSV_START, *labels, "sections", "seconds", "notes", "error"]))
    file.flush()
    failed = 0
    for path, result in results:
        if isinstance(result, AudioError):
            failed += 1
            writer.writerow(_cells([printable(path), *[""] * (len(CSV_START) + len(labels) + 3), str(result)]))
        else:
            flags = YES_OR_NO[result.is_music], YES_OR_NO[result.confident]
            probabilities = _in_order(result.probabilities, labels)
            cells: list[str | float] = [result.headline.text, result.genre, result.confidence, *flags, *probabilities]
            found, notes = format_sections(result.sections), " ".join(result.notes)
            writer.writerow(_cells([printable(path), *cells, found, result.seconds, notes, ""]))
        file.flush()
    return failed


def write_windows_csv(results: Results, labels: list[str], file: TextIO) -> int:
    """One row per window: file, start and end in seconds, genre, probability per label. A failed file has one row.

    The genre of a silent window is "silence", and its probabilities are empty.
    """
    writer = csv.writer(file)
    writer.writerow(_cells(["file", "start", "end", "genre", *labels, "error"]))
    failed = 0
    for path, result in results:
        name = printable(path)
        if isinstance(result, AudioError):
            failed += 1
            writer.writerow(_cells([name, *[""] * (len(labels) + 3), str(result)]))
        else:
            for window in result.windows:
                label = window.genre or SILENCE_NAME
                probabilities = [""] * len(labels) if window.silent else _in_order(window.probabilities, labels)
                writer.writerow(_cells([name, window.start, window.end, label, *probabilities, ""]))
        file.flush()
    return failed


def format_sections(found: Sequence[Section]) -> str:
    """Sections as text, such as "0:00 to 0:48 Folk, 0:48 to 2:39 Rock"."""
    return ", ".join(f"{clock(s.start)} to {clock(s.end)} {s.name}" for s in found)


def _in_order(probabilities: dict[str, float], labels: list[str]) -> list[float]:
    return [probabilities[label] for label in labels]


def _cells(values: Sequence[str | float]) -> list[str]:
    """The cells of a row: text that is no formula, and numbers with 4 decimals."""
    return [_escape_formula(value) if isinstance(value, str) else f"{value:.4f}" for value in values]


def _escape_formula(text: str) -> str:
    """Protect against CSV injection: spreadsheets evaluate a cell that begins like a formula.

    File names and genres are untrusted input. The leading apostrophe marks a cell as text (OWASP, "CSV Injection").
    """
    return "'" + text if text.startswith(FORMULA_STARTS) else text
