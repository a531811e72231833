"""A whole archive of music, on all cores of one machine or of many: Dask hands out the files, one process writes.

The client lists the files and writes a row for each as it comes (see `genre.inference.jsonl`). Only a few files a
thread are in flight, so memory does not grow with the archive. Workers read the files themselves, from a folder that is
in the same place on every machine, and decode them in processes apart (see `genre.audio.worker`), so that a hostile
file takes none down.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

import torch
from distributed import Client, KilledWorker, LocalCluster, as_completed
from tqdm import tqdm

from genre.audio import worker
from genre.errors import AudioError, GenreError
from genre.inference import report
from genre.inference.classify import Classifier, Prediction
from genre.inference.jsonl import JsonLines
from genre.malloc import keep_freed_memory
from genre.models.checkpoint import HUB_PREFIX, available, load_checkpoint

LOCAL = "local"
PATIENCE_SECONDS = 10  # for a scheduler to answer, and for its first worker
AHEAD = 4  # files in flight a thread: one that is heard, and some for the time that a message takes


class ClusterError(GenreError):
    """There is no cluster, or it cannot do the work."""


def label(
    paths: Iterable[Path], out: Path, address: str = LOCAL, checkpoint: str | None = None, overlap: float = 0.0
) -> int:
    """Write a row for each file that has none yet.

    Args:
        paths: the files.
        out: see `genre.inference.jsonl`; a run that was stopped goes on there.
        address: of a Dask scheduler, as in "tcp://host:8786", or "local" for a worker a core of this machine.
        checkpoint: as for `genre.load`.
        overlap: as for `Classifier.classify`.

    Returns:
        how many rows hold an error.

    Raises:
        GenreError: there is no such cluster or checkpoint, or `out` cannot be written. What is written stays.
    """
    names = dict.fromkeys(map(str, paths))
    with JsonLines(out, load_checkpoint(checkpoint).name) as lines:
        missing = [name for name in names if name not in lines.files]
        if missing:
            with (
                _connected(address) as client,
                tqdm(total=len(names), initial=len(names) - len(missing), unit="file") as bar,
            ):
                for row in classify_all(client, missing, checkpoint, overlap):
                    lines.write(row)
                    bar.set_postfix(failed=lines.failed, refresh=False)
                    bar.update()
        return lines.failed


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    with ExitStack() as stack:
        if address == LOCAL:
            address = stack.enter_context(_local()).scheduler_address
        try:
            client = stack.enter_context(Client(address, timeout=PATIENCE_SECONDS))
        except (OSError, ValueError) as error:
            raise ClusterError(f"No Dask scheduler answers at {address!r}.") from error
        try:
            client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
        except TimeoutError as error:
            raise ClusterError(f"The scheduler at {address} has no workers.") from error
        yield client


def _local() -> LocalCluster:
    """A worker a core of this machine."""
    return LocalCluster(
        threads_per_worker=1,
        memory_limit=0,  # the limit is meant for results that pile up; here it would only pause workers that load torch
        dashboard_address="127.0.0.1:0",  # any port that is free
        silence_logs=logging.ERROR,
        preload=["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],  # Ctrl-C is for the client
    )


def classify_all(client: Client, names: Iterable[str], checkpoint: str | None, overlap: float) -> Iterator[dict]:
    """Rows of files, as they are done.

    Raises:
        ClusterError: the scheduler is gone, or the workers have no such folder or checkpoint.
    """
    task = _task(str(Path.cwd()), _anywhere(checkpoint), overlap)
    suspects = []
    try:
        for name, outcome in _run(client, task, names):
            if isinstance(outcome, KilledWorker):
                suspects.append(name)
            else:
                yield _row(name, outcome)
        # A worker's death is held against all the files that it had, so each of them is heard again, alone.
        for name in suspects:
            for _, outcome in _run(client, task, [name]):
                yield _row(name, outcome)
    except (CancelledError, OSError) as error:
        raise ClusterError("The scheduler is gone; the same command goes on from here.") from error


def _run(client: Client, task: Callable[[str], dict], names: Iterable[str]) -> Iterator[tuple[str, dict | Exception]]:
    """What comes of files, as they are done. Takes no more names than `AHEAD` of what the threads work on."""
    names, waiting, done = iter(names), {}, as_completed()
    while True:
        room = AHEAD * max(1, sum(client.nthreads().values())) - len(waiting)
        fresh = list(islice(names, max(0, room)))
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
    """The row of a file.

    Raises:
        ClusterError: what went wrong is nothing about the file, and would go wrong with the next one, too.
    """
    if isinstance(outcome, dict):
        return outcome
    if isinstance(outcome, KilledWorker):
        return _report(name, AudioError("This file took down every worker that heard it."))
    if isinstance(outcome, OSError) and os.access(name, os.R_OK):
        raise ClusterError(f"A worker lacks what is here; files must be in the same place on every machine: {outcome}")
    if isinstance(outcome, OSError):
        return _report(name, AudioError(str(outcome)))
    why = " ".join(str(outcome).split())
    raise ClusterError(f"The cluster cannot do this, is the project at hand on every machine? {why}")


def _report(name: str, result: Prediction | AudioError) -> dict:
    """As `report.rows`, under the exact name."""
    (row,) = report.rows([(name, result)])
    return row | {"file": name}


def _anywhere(checkpoint: str | None) -> str | None:
    """A checkpoint's name that means the same in every folder."""
    if checkpoint is None or checkpoint.startswith(HUB_PREFIX) or checkpoint in available():
        return checkpoint
    return str(Path(checkpoint).absolute())


def _task(folder: str, checkpoint: str | None, overlap: float) -> Callable[[str], dict]:
    """What workers do with a name.

    A function in a function travels whole, not as the name of a place to import it from. So the scheduler, which looks
    into it, needs neither this project nor torch, and a worker that lacks them says so instead of closing.
    """

    def classify(name: str) -> dict:
        from genre.inference import cluster

        return cluster.classify(name, folder, checkpoint, overlap)

    return classify


def classify(name: str, folder: str, checkpoint: str | None, overlap: float) -> dict:
    """The row of a file, made on a worker; a name that is relative begins in `folder`.

    Raises:
        OSError: it cannot be read on this machine.
        Exception: the fault is the machine's.
    """
    classifier, path = _classifier(checkpoint), Path(folder, name)
    try:
        if path.is_fifo():
            raise AudioError("This is a pipe, which a cluster cannot read.")
        result = classifier.classify(path, overlap=overlap)
    except AudioError as error:
        if not os.access(path, os.R_OK):
            raise OSError(str(error)) from error
        result = error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a fault of ours that one file brings out, which should not end the work of days
        result = AudioError(f"This file cannot be judged: {error!r}")
    return _report(name, result)


@cache
def _classifier(checkpoint: str | None) -> Classifier:
    """Loaded once in a worker, which has a core to itself."""
    torch.set_num_threads(1)
    keep_freed_memory()
    return Classifier(load_checkpoint(checkpoint), worker.stream)
