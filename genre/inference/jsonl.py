"""Append predictions for many files to a JSON Lines file, in a run that may be interrupted and resumed.

Each row is an object as `genre.inference.report.rows` makes it, with the settings of the run, and the size and the time
of modification of the file. File names are stored exactly, also where they are not valid UTF-8. So a later run knows
which files are done: those with a prediction that have not been replaced since.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genre.errors import GenreError
from genre.files import replaced

START = b'{"file": '  # of every row, complete or cut off: a file with other content is not one of ours


class JsonLinesError(GenreError):
    """The file cannot be written, or it has other content."""


def state_of(file: str) -> dict[str, int]:
    """Fields of a row by which a file that was replaced is recognised; empty where it is gone."""
    try:
        status = Path(file).stat()
    except (OSError, ValueError):
        return {}
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


class JsonLines:
    """A JSON Lines file that is read once and then appended to.

    Every row is flushed to the operating system as soon as it is written, so a killed run leaves complete rows except
    for the last one, which is removed here. A lock file next to it keeps other processes from writing.

    Args:
        path: created if it does not exist.
        settings: of the run, part of every row; a run with others does not continue the file.

    Attributes:
        files: what `state_of` said of the files that have a row, by name; None for a row with an error.
        failed: number of rows with an error instead of a prediction.

    Raises:
        JsonLinesError: the file cannot be written, another process is writing it, or it has other content; also
            raised by `write`.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path, self.settings, self.failed = path, settings, 0
        self.files: dict[str, dict[str, int] | None] = {}
        self._lock = FileLock(f"{path}.lock", timeout=0)  # released by the system, however the process ends
        try:
            self._file = path.open("a+b")
            self._lock.acquire()
            self._read()
        except Timeout as error:
            raise JsonLinesError(f"Another process is writing {path}.") from error
        except OSError as error:
            self._unlock()
            raise self._not_writable(error) from error
        except JsonLinesError:
            self._unlock()
            raise

    def _read(self) -> None:
        self._file.seek(0)
        complete = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and (
                line[: len(START)] == START[: len(line)] or (complete and not line.strip(b"\0"))
            ):
                break  # cut off, or full of zeros after a power cut
            try:
                row = json.loads(line)
                self._count(row)
            except (ValueError, KeyError, TypeError) as error:
                raise JsonLinesError(f"{self.path} has other content in line {number}; choose another file.") from error
            for name, value in self.settings.items():
                if row.get(name) != value:
                    theirs = f"with {name} {row[name]}" if name in row else f"without {name}"
                    raise JsonLinesError(
                        f"{self.path} holds predictions of another run, {theirs} and not with {name} {value}; "
                        "choose another file."
                    )
            complete += len(line)
        self._file.truncate(complete)

    def write(self, row: dict) -> None:
        """Append a row with the settings and flush it."""
        try:
            self._file.write(json.dumps(row | self.settings).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._not_writable(error) from error
        self._count(row)

    def is_done(self, file: str) -> bool:
        """Whether a file has a prediction, and has not been replaced since; one that is gone has not been."""
        state = self.files.get(file)
        return state is not None and state_of(file) in ({}, state)

    def remove(self, files: Iterable[str]) -> None:
        """Remove the rows of files, which are classified again."""
        old = self.files.keys() & set(files)
        if not old:
            return
        try:
            self._file.seek(0)
            with replaced(self.path) as new:
                with new.open("wb") as kept:
                    kept.writelines(line for line in self._file if json.loads(line)["file"] not in old)
                self._file.close()  # Windows replaces no file that is open
            self._file = self.path.open("a+b")
        except OSError as error:
            raise self._not_writable(error) from error
        for file in old:
            self.failed -= self.files.pop(file) is None

    def _count(self, row: dict) -> None:
        state = {name: row[name] for name in ("bytes", "modified_ns") if name in row}
        self.files[row["file"]] = None if "error" in row else state
        self.failed += "error" in row

    def _not_writable(self, error: OSError) -> JsonLinesError:
        return JsonLinesError(f"{self.path} cannot be written: {error.strerror}.")

    def _unlock(self) -> None:
        if self._lock.is_locked:
            with suppress(OSError):  # Windows deletes no open file; there `release` does
                Path(self._lock.lock_file).unlink()
            self._lock.release()

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # flushes again what a full disk did not take; `write` has raised it
            self._file.close()
        self._unlock()
