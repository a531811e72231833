"""Verdicts on several files as tables and JSON, for spreadsheets and programs.

`results` are pairs of a file and what came of it: a Prediction, or the AudioError that says why there is none. Each
writer writes text as results come, and returns how many files failed. Open files for CSV with `newline=""`.
"""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from genre.errors import AudioError
from genre.inference.classify import Prediction
from genre.inference.sections import SILENCE_NAME, Section, clock, sections
from genre.json_files import json_list

Results = Iterable[tuple[str | Path, Prediction | AudioError]]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def rows(results: Results) -> Iterator[dict]:
    """A dictionary a file, ready for JSON: what `Prediction.to_dict` holds and its sections, or "error".

    The genre of a section of silence is None.
    """
    for path, result in results:
        row = {"file": printable(path)}
        if isinstance(result, AudioError):
            yield row | {"error": str(result)}
        else:
            found = [{"start": round(s.start, 3), "end": round(s.end, 3), "genre": s.genre} for s in sections(result)]
            yield row | result.to_dict() | {"sections": found}


def write_json(results: Results, file: TextIO) -> int:
    """Everything: a list with an object a file, names as they are."""
    with json_list(file) as append:
        return append_rows(results, append)


def append_rows(results: Results, append: Callable[[dict], None]) -> int:
    """`write_json` to a `json_list` that is open already."""
    failed = 0
    for row in rows(results):
        append(row)
        failed += "error" in row
    return failed


def write_csv(results: Results, labels: list[str], file: TextIO) -> int:
    """A line a file: verdict, a column a genre, sections, seconds heard, notes on the file, error."""
    writer = csv.writer(file)
    _write(writer, ["file", "genre", "confidence", *labels, "sections", "seconds", "notes", "error"])
    file.flush()
    failed = 0
    for path, result in results:
        if isinstance(result, AudioError):
            failed += 1
            _write(writer, [printable(path), *[""] * (len(labels) + 5), str(result)])
        else:
            verdict = [result.genre, result.confidence, *_in_order(result.probabilities, labels)]
            found, notes = in_words(sections(result)), " ".join(result.notes)
            _write(writer, [printable(path), *verdict, found, result.seconds, notes, ""])
        file.flush()
    return failed


def write_windows_csv(results: Results, labels: list[str], file: TextIO) -> int:
    """A line a window: file, start and end in seconds, genre, a column a genre. A file that failed has one line.

    The genre of a silent window is "silence", and its other columns are empty.
    """
    writer = csv.writer(file)
    _write(writer, ["file", "start", "end", "genre", *labels, "error"])
    failed = 0
    for path, result in results:
        name = printable(path)
        if isinstance(result, AudioError):
            failed += 1
            _write(writer, [name, *[""] * (len(labels) + 3), str(result)])
        else:
            for window in result.windows:
                probabilities = [""] * len(labels) if window.silent else _in_order(window.probabilities, labels)
                _write(writer, [name, window.start, window.end, window.genre or SILENCE_NAME, *probabilities, ""])
        file.flush()
    return failed


def printable(path: str | Path) -> str:
    """A file's name as text that any file can hold: old archives carry names that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def in_words(found: list[Section]) -> str:
    """ "0:00 to 0:48 Folk, 0:48 to 2:39 Rock"."""
    return ", ".join(f"{clock(round(s.start))} to {clock(round(s.end))} {s.name}" for s in found)


def _in_order(probabilities: dict[str, float], labels: list[str]) -> list[float]:
    return [probabilities[label] for label in labels]


def _write(writer, cells: list[str | float]) -> None:
    writer.writerow([_harmless(cell) if isinstance(cell, str) else f"{cell:.4f}" for cell in cells])


def _harmless(text: str) -> str:
    """Text that a spreadsheet takes for text.

    A cell that begins like a formula is run as one, and names of files and genres come from strangers. The apostrophe
    in front is what spreadsheets mark text with (OWASP, "CSV Injection").
    """
    return "'" + text if text.startswith(FORMULA_STARTS) else text
