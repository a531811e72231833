"""The server of the page as a separate process, and its memory, for the benchmarks load, soak, page and speed."""

import os
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

from gradio_client import Client, handle_file

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS, TIMEOUT_SECONDS = 0.05, 600
MEMORY_SAMPLE_SECONDS = 0.25


@dataclass(frozen=True)
class App:
    """A running server.

    Attributes:
        address: to open it at.
        pid: of its process.
        uploads: folder that it stores visitors' files in.
    """

    address: str
    pid: int
    uploads: Path

    def memory_mb(self) -> float:
        """Resident memory of the server and of the processes it started, in MB (of 1,000 KiB)."""
        kilobytes = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            except OSError:  # the process has ended meanwhile
                continue
            if self.pid in (int(fields["Pid"]), int(fields["PPid"])):
                kilobytes += int(fields.get("VmRSS", "0 kB").split()[0])
        return kilobytes / 1000

    @contextmanager
    def sampled_memory(self) -> Iterator[list[float]]:
        """Samples of `memory_mb` while the block runs, a list that grows."""
        samples, over = [self.memory_mb()], threading.Event()

        def sample() -> None:
            while not over.wait(MEMORY_SAMPLE_SECONDS):
                samples.append(self.memory_mb())

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield samples
        finally:
            over.set()
            thread.join()


@contextmanager
def running_app(environment: dict[str, str] | None = None, program: Path = ROOT / "app.py") -> Iterator[App]:
    """Start the app on a free port, with additions to its environment; it is ready in the block and ends with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as uploads:
        settings = {
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_TEMP_DIR": uploads,
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
        process = subprocess.Popen(
            [sys.executable, str(program)],
            env=os.environ | settings | (environment or {}),
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for(port, process)
            yield App(f"http://127.0.0.1:{port}", process.pid, Path(uploads))
        finally:
            process.terminate()
            process.wait()


def seconds_to_first_answer(clip: Path, environment: dict[str, str]) -> float:
    """From the start of `python app.py` to the prediction for a clip by `/classify`."""
    started = time.perf_counter()
    with running_app(environment) as app:
        Client(app.address, verbose=False).predict(handle_file(str(clip)), api_name="/classify")
        return time.perf_counter() - started


def _wait_for(port: int, process: subprocess.Popen) -> None:
    """Until the port accepts connections; the page is complete by then."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(POLL_SECONDS)
    raise RuntimeError("app.py did not start")
