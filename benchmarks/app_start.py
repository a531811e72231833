"""The page's server as people start it, for benchmarks."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gradio_client import Client, handle_file

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS, PATIENCE_SECONDS = 0.05, 600


@dataclass(frozen=True)
class App:
    """A server that runs.

    Attributes:
        address: to open it at.
        pid: of its process.
        uploads: folder of what visitors sent.
    """

    address: str
    pid: int
    uploads: Path


@contextmanager
def running_app(environment: dict[str, str] | None = None, program: Path = ROOT / "app.py") -> Iterator[App]:
    """The app on a free port, with settings of its environment; it answers, and ends with the block."""
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
    """From `python app.py` to the verdict on a clip through `/classify`."""
    started = time.perf_counter()
    with running_app(environment) as app:
        Client(app.address, verbose=False).predict(handle_file(str(clip)), api_name="/classify")
        return time.perf_counter() - started


def _wait_for(port: int, process: subprocess.Popen) -> None:
    """Until the port answers; the page is complete by then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(POLL_SECONDS)
    raise RuntimeError("app.py did not start")
