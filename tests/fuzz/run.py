"""Decode mutants in a separate process; report the outcome of each and the state of the process."""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT, music
from tests.fuzz.mutants import Mutant, make
from tests.fuzz.references import Bait
from tests.fuzz.seeds import make_seeds, wav

SECONDS_LIMIT = 30  # of wall clock for a mutant, on a busy core
PEAK_LIMIT = 400  # MB of additional memory for a mutant
FINE = {"decoded", "refused"}
IN_OPEN = 0x20


@dataclass(frozen=True)
class Result:
    """Outcome of a mutant.

    Attributes:
        outcome: "decoded", "refused" (an AudioError), or what is wrong: "crash", "hang", "escaped" (another exception),
            "bad message", "memory", "files" (left open or behind), "touched" (the bait).
        detail: decoded seconds, the message, the signal or the traceback.
        seconds: wall-clock time.
        peak: additional memory at its peak, in MB.
        memory: of the process afterwards, in MB.
    """

    mutant: Mutant
    outcome: str
    detail: str
    seconds: float
    peak: float
    memory: float

    @property
    def fine(self) -> bool:
        return self.outcome in FINE


def run(seed: int, numbers: range, max_seconds: float) -> Iterator[Result]:
    """Decode at most `max_seconds` of each mutant, one after the other; the process is restarted where it died."""
    with tempfile.TemporaryDirectory(prefix="genre-fuzz-") as name:
        folder = Path(name)
        seeds = make_seeds(folder)
        with _laid_out(folder / "bait") as (bait, touched):
            target = Target(folder, max_seconds)
            for number in numbers:
                yield target.decode(make(seed, number, seeds, bait), touched)
            target.stop()


class Target:
    """The decoding process, in its own folder, with another one for its temporary files."""

    def __init__(self, folder: Path, max_seconds: float):
        self.max_seconds = max_seconds
        self.songs, self.rest = folder / "songs", folder / "rest"
        self.songs.mkdir()
        self.rest.mkdir()
        self._start()

    def decode(self, mutant: Mutant, touched) -> Result:
        path = self.songs / mutant.name
        path.write_bytes(mutant.data)
        before, began = self.state, time.monotonic()
        task = {"path": str(path), "start": mutant.start, "seconds": self.max_seconds, "classify": mutant.classify}
        self.process.stdin.write(json.dumps(task).encode() + b"\n")
        self.process.stdin.flush()
        answer = self._answer(SECONDS_LIMIT)
        seconds = time.monotonic() - began
        path.unlink()
        if answer is None:
            hung = self.process.poll() is None
            self.stop()
            status = self.process.returncode
            died = signal.Signals(-status).name if status < 0 else f"exit {status}"
            self._start()
            return Result(mutant, *(("hang", "") if hung else ("crash", died)), seconds, 0.0, self.state["memory"])
        self.state = answer
        peak = answer["peak"] - before["memory"]
        outcome, detail = answer["outcome"], answer["detail"]
        left = [str(file.name) for folder in (self.songs, self.rest) for file in folder.iterdir()]
        if what := touched():
            outcome, detail = "touched", f"{what}; {detail}"
        elif answer["files"] > before["files"] or left:
            outcome, detail = "files", f"{answer['files'] - before['files']} open, left behind: {left}; {detail}"
        elif outcome in FINE and peak > PEAK_LIMIT:
            outcome, detail = "memory", f"{peak:.0f} MB; {detail}"
        return Result(mutant, outcome, detail, seconds, peak, answer["memory"])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _start(self) -> None:
        environment = os.environ | {"TMPDIR": str(self.rest), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.fuzz.target"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.songs, env=environment
        )
        self.state = self._answer(120)
        assert self.state, "the target did not start"

    def _answer(self, seconds: float) -> dict | None:
        """The next line from the process; None where it died, or after a timeout of so many seconds."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        if ready and not line:
            self.process.wait()
        return json.loads(line) if line else None


@contextmanager
def _laid_out(folder: Path):
    """Bait, and a function that lists which of it was accessed since the last call."""
    folder.mkdir()
    file = folder / "bait.wav"
    file.write_bytes(wav((music(2) * 32767).astype("<i2").tobytes()))
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, os.fsencode(file), IN_OPEN)
    visits = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_welcome, args=(server, visits), daemon=True).start()

        def touched() -> str:
            found = visits[:]
            visits.clear()
            if select.select([watch], [], [], 0)[0]:
                os.read(watch, 65536)
                found.append("the file was opened")
            return ", ".join(found)

        yield Bait("{}:{}".format(*server.getsockname()), file), touched
        server.shutdown(socket.SHUT_RDWR)
    os.close(watch)


def _welcome(server: socket.socket, visits: list[str]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # closed
            return
        visits.append("the address was called")
        connection.close()
