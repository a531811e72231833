"""Classify an archive on all cores of one machine or many, with Dask, in a run that may be interrupted and resumed.

The client lists the files and appends the row of each to a JSON Lines file as soon as it is available. A few files per
thread are in flight, so memory does not grow with the archive. Workers read the files themselves, from a folder with
the same path on every machine, and decode them in separate processes (see `genre.audio.worker`), so that a malformed
file does not crash a worker.

docs/output.md describes the rows. File names are stored exactly, also where they are not valid UTF-8. So a later run
knows which files are done: those with a prediction that have not been replaced since.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from filelock import FileLock, Timeout
from tqdm import tqdm

from genre.errors import AudioError, CheckpointError, GenreError
from genre.files import one_line, replaced
from genre.inference.classify import Classifier
from genre.inference.export import to_row
from genre.inference.prediction import SCHEMA, Prediction
from genre.models.model import HUB_PREFIX, GenreModel, available, keep_freed_memory

LOCAL = "local"
TIMEOUT_SECONDS = 10  # for the scheduler to answer, and for its first worker to register
FILES_PER_THREAD = 4  # in flight: one being classified, and some to cover the latency of messages
ROW_START = b'{"file": '  # of every row, complete or cut off: a file with other content is not one of ours


def classify_files(
    paths: Iterable[Path], out: Path, address: str = LOCAL, checkpoint: str | None = None, overlap: float = 0.0
) -> int:
    """Classify the files that have no prediction in `out` yet, or were replaced since, and append a row for each.

    A file that cannot be opened gets no row. Where the folder of all files goes away meanwhile, as a network drive may,
    the run stops.

    Args:
        paths: the files.
        out: the JSON Lines file, see `JsonLines`; it may exist, to resume a run.
        address: of a Dask scheduler, as in "tcp://host:8786", or "local" for one worker per core of this machine.
        checkpoint: as for `genre.load`.
        overlap: as for `Classifier.classify`.

    Returns:
        number of files that could not be classified.

    Raises:
        GenreError: there is no such cluster or checkpoint, `out` cannot be written, or the folder is gone. Rows
            written before remain.
    """
    names, used = dict.fromkeys(map(str, paths)), GenreModel.from_pretrained(checkpoint, for_inference=True)
    settings = {"schema": SCHEMA, "checkpoint": used.name, "checkpoint_sha256": used.digest, "overlap": overlap}
    with JsonLines(out, settings) as out_file:
        missing, unopened = [name for name in names if not out_file.is_done(name)], 0
        if missing:
            folder = _common_folder(missing)
            states: dict[str, dict[str, int]] = {}  # when they were read, so that one replaced meanwhile is read again

            def submitted() -> Iterator[str]:
                for name in missing:
                    states[name] = state_of(name)
                    yield name

            with (
                _connected(address) as client,
                tqdm(total=len(names), initial=len(names) - len(missing), unit="file") as bar,
            ):
                out_file.remove(missing)
                for row in classify_all(client, submitted(), checkpoint, used.digest, overlap):
                    name, failed = row["file"], "error" in row
                    if failed and folder and not _is_there(folder):
                        raise GenreError(
                            f"The folder {one_line(folder)} is no longer there; run the same command again to resume."
                        )
                    if failed:
                        bar.write(f"{one_line(name)}: {row['error']}", file=sys.stderr)
                    if failed and not os.access(name, os.R_OK):
                        unopened += 1
                    else:
                        out_file.write(row | states.pop(name))
                    bar.set_postfix(failed=out_file.failed + unopened, refresh=False)
                    bar.update()
        failures = out_file.failed + unopened
        if failures:
            plural = "s" if failures > 1 else ""
            print(f"{failures:,} file{plural} could not be classified; the same command tries again", file=sys.stderr)
        return failures


def _common_folder(names: Iterable[str]) -> Path | None:
    """The folder that holds all of the files, if there is one and it holds something now."""
    try:
        folder = Path(os.path.commonpath([Path(name).absolute().parent for name in names]))
    except ValueError:  # on two drives of Windows
        return None
    return folder if _is_there(folder) else None


def _is_there(folder: Path) -> bool:
    """Whether a folder can be read and is not empty, as that in which a drive was mounted is."""
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except OSError:
        return False


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    with ExitStack() as stack:
        if address == LOCAL:
            address = stack.enter_context(_local()).scheduler_address
        try:
            client = stack.enter_context(Client(address, timeout=TIMEOUT_SECONDS))
        except (OSError, ValueError) as error:
            raise GenreError(f"No Dask scheduler answers at {address!r}.") from error
        try:
            client.wait_for_workers(1, timeout=TIMEOUT_SECONDS)
        except TimeoutError as error:
            raise GenreError(f"The scheduler at {address} has no workers.") from error
        yield client


def _local() -> LocalCluster:
    """One worker process per core of this machine."""
    return LocalCluster(
        threads_per_worker=1,
        memory_limit=0,  # none: Dask's is meant for accumulating results, here it would pause workers that load torch
        dashboard_address="127.0.0.1:0",  # any free port
        silence_logs=logging.CRITICAL,  # what fails is in the rows
        preload=["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],  # only the client handles Ctrl-C
    )


def classify_all(
    client: Client, names: Iterable[str], checkpoint: str | None, digest: str, overlap: float
) -> Iterator[dict]:
    """Classify files; yields a row for each as soon as it is done.

    Args:
        digest: of the checkpoint; a worker that has another one of this name classifies nothing.

    Raises:
        GenreError: the connection to the scheduler is lost, or the workers lack the folder or the checkpoint.
    """
    task = _task(str(Path.cwd()), _absolute_checkpoint(checkpoint), digest, overlap)
    suspects = []
    try:
        for name, outcome in _run(client, task, names):
            if isinstance(outcome, KilledWorker):
                suspects.append(name)
            else:
                yield _row(name, outcome)
        # Dask counts a worker's death for every file that was assigned to it, so each of them is retried alone.
        for name in suspects:
            for _, outcome in _run(client, task, [name]):
                yield _row(name, outcome)
    except (CancelledError, OSError) as error:
        raise GenreError("The connection to the scheduler is lost; run the same command again to resume.") from error


def _run(client: Client, task: Callable[[str], dict], names: Iterable[str]) -> Iterator[tuple[str, dict | Exception]]:
    """Run the task on files; yields outcomes as they complete, `FILES_PER_THREAD` in flight per thread."""
    names, done = iter(names), as_completed()
    waiting: dict[Future, str] = {}
    while True:
        capacity = FILES_PER_THREAD * max(1, sum(client.nthreads().values())) - len(waiting)
        fresh = list(islice(names, max(0, capacity)))
        futures = client.map(task, fresh, pure=False)
        done.update(futures)
        waiting |= zip(futures, fresh, strict=True)
        if not waiting:
            return
        batch = {waiting.pop(future): future for future in done.next_batch()}
        rows = client.gather(batch, errors="skip")
        for name, future in batch.items():
            if future.cancelled():
                raise CancelledError
            yield name, rows[name] or future.exception()


def _row(name: str, outcome: dict | Exception) -> dict:
    """The row of a file, from what the task returned or raised.

    Raises:
        GenreError: the failure has nothing to do with the file and would recur with the next one.
    """
    if isinstance(outcome, dict):
        return outcome
    if isinstance(outcome, KilledWorker):
        return _to_row(name, AudioError("This file crashed every worker that classified it."))
    if isinstance(outcome, OSError) and os.access(name, os.R_OK):
        raise GenreError(
            f"A worker cannot read a file that is there; files must have the same path on every machine: {outcome}"
        )
    if isinstance(outcome, OSError):
        return _to_row(name, AudioError(str(outcome)))
    if isinstance(outcome, GenreError):
        raise outcome
    why = " ".join(str(outcome).split())
    raise GenreError(f"The cluster cannot classify; is the project installed on every machine? {why}")


def _to_row(name: str, result: Prediction | AudioError) -> dict:
    """As `genre.inference.export.to_row`, but with the exact file name."""
    return to_row(name, result) | {"file": name}


def _absolute_checkpoint(checkpoint: str | None) -> str | None:
    """A checkpoint name that does not depend on the current folder."""
    if checkpoint is None or checkpoint.startswith(HUB_PREFIX) or checkpoint in available():
        return checkpoint
    return str(Path(checkpoint).absolute())


def _task(folder: str, checkpoint: str | None, digest: str, overlap: float) -> Callable[[str], dict]:
    """The task for the workers: file name to row.

    A nested function is pickled by value, not by reference to a module. So the scheduler, which unpickles it, needs
    neither this project nor torch, and a worker that lacks them reports an error instead of closing.
    """

    def classify(name: str) -> dict:
        from genre.inference import cluster

        return cluster.classify(name, folder, checkpoint, digest, overlap)

    return classify


def classify(name: str, folder: str, checkpoint: str | None, digest: str, overlap: float) -> dict:
    """Classify a file on a worker and return its row; relative names are relative to `folder`.

    Raises:
        OSError, MemoryError: the file cannot be read, or not be classified, on this machine.
        GenreError: the checkpoint cannot be loaded, or is another one than that of the client.
    """
    classifier, path = _classifier(checkpoint, digest), Path(folder, name)
    try:
        if path.is_fifo():
            raise AudioError("This is a pipe, which a cluster cannot read.")
        prediction = classifier.classify(path, overlap=overlap)
        if prediction.notes and not os.access(path, os.R_OK):  # of a file that went away, only a part was read
            raise OSError(f"{path} went away while it was read.")
        result: Prediction | AudioError = prediction
    except AudioError as error:
        if not os.access(path, os.R_OK):
            raise OSError(str(error)) from error
        result = error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a bug that one file triggers should not abort the whole run
        result = AudioError(f"This file cannot be classified: {error!r}")
    return _to_row(name, result)


@lru_cache(maxsize=1)
def _classifier(checkpoint: str | None, digest: str) -> Classifier:
    """The classifier, loaded once per worker; it uses one thread, since there is a worker per core."""
    loaded = GenreModel.from_pretrained(checkpoint, for_inference=True)
    if loaded.digest != digest:
        raise CheckpointError(f"A worker has another checkpoint {loaded.name} than the machine of the command.")
    torch.set_num_threads(1)
    keep_freed_memory()
    return Classifier(loaded)


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
        GenreError: the file cannot be written, another process is writing it, or it has other content; also
            raised by `write`.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path, self.settings, self.failed = path, settings, 0
        self.files: dict[str, dict[str, int] | None] = {}
        if path.exists() and not (path.is_file() or path.is_dir()):  # what a device holds may have no end
            raise GenreError(f"{path} is no file that a run could continue; choose another one.")
        self._lock = FileLock(f"{path}.lock", timeout=0)  # released by the system, however the process ends
        try:
            self._file = path.open("a+b")
            self._lock.acquire()
            self._read()
        except Timeout as error:
            raise GenreError(f"Another process is writing {path}.") from error
        except OSError as error:
            self._unlock()
            raise self._not_writable(error) from error
        except GenreError:
            self._unlock()
            raise

    def _read(self) -> None:
        self._file.seek(0)
        complete = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and (
                line[: len(ROW_START)] == ROW_START[: len(line)] or (complete and not line.strip(b"\0"))
            ):
                break  # cut off, or full of zeros after a power cut
            try:
                row = json.loads(line)
                self._count(row)
            except (ValueError, KeyError, TypeError) as error:
                raise GenreError(f"{self.path} has other content in line {number}; choose another file.") from error
            for name, value in self.settings.items():
                if row.get(name) != value:
                    theirs = f"with {name} {row[name]}" if name in row else f"without {name}"
                    raise GenreError(
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

    def _not_writable(self, error: OSError) -> GenreError:
        return GenreError(f"{self.path} cannot be written: {error.strerror}.")

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
