"""A file of JSON lines that is written for days and survives being killed: the labels of an archive, a line a file.

A row is what `genre.inference.report.rows` makes of a recording. Its name is kept to the last byte, also where it is
not UTF-8, so that a later run knows which files are done.
"""

import json
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from genre.errors import GenreError

START = b'{"file": '  # of every line, broken off or not: what does not begin so is somebody else's file


class LinesError(GenreError):
    """The file cannot be written, or holds something else."""


class JsonLines:
    """A file of rows, with those that are there and room for more.

    A row is handed to the system as soon as it is written, so a killed run leaves whole lines but for the last one,
    which is cut off here.

    Args:
        path: is made where there is none.
        checkpoint: name of the model that the verdicts come from.

    Attributes:
        files: names of those that have their row.
        failed: how many of the rows hold an error instead of a verdict.

    Raises:
        LinesError: the file cannot be written, another process writes it, or it holds something else; here and later.
    """

    def __init__(self, path: Path, checkpoint: str):
        self.path, self.files, self.failed = path, set(), 0
        self._lock = FileLock(f"{path}.lock", timeout=0)  # the system lets go of it, however the process ends
        try:
            self._file = path.open("a+b")
            self._lock.acquire()
            self._read(checkpoint)
        except Timeout as error:
            raise LinesError(f"Another process is writing {path}.") from error
        except OSError as error:
            self._unlock()
            raise self._not_writable(error) from error
        except LinesError:
            self._unlock()
            raise

    def _read(self, checkpoint: str) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and line[: len(START)] == START[: len(line)]:
                break
            try:
                row = json.loads(line)
                self._count(row)
            except (ValueError, KeyError, TypeError) as error:
                raise LinesError(f"{self.path} holds something else in line {number}; name another file.") from error
            if row.get("checkpoint", checkpoint) != checkpoint:
                other = row["checkpoint"]
                raise LinesError(f"{self.path} holds verdicts of {other}, not of {checkpoint}; name another file.")
            whole += len(line)
        self._file.truncate(whole)

    def write(self, row: dict) -> None:
        try:
            self._file.write(json.dumps(row).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._not_writable(error) from error
        self._count(row)

    def _count(self, row: dict) -> None:
        self.files.add(row["file"])
        self.failed += "error" in row

    def _not_writable(self, error: OSError) -> LinesError:
        return LinesError(f"{self.path} cannot be written: {error.strerror}.")

    def _unlock(self) -> None:
        if self._lock.is_locked:
            with suppress(OSError):  # Windows deletes no open file; there the release does it
                Path(self._lock.lock_file).unlink()
            self._lock.release()

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *_) -> None:
        with suppress(OSError):  # a row that found no room tries again here, and `write` has said so
            self._file.close()
        self._unlock()
