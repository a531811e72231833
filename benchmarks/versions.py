"""Compare this checkout with another one, in turn: waiting times, memory, training.

    python -m benchmarks.versions SONGS --against PATH [--pairs 5] [--only command server ...]

SONGS is a folder with mp3 files, from which the material is cut; the hour is a song of 4 minutes again and again. Every
measurement runs once in this checkout and once in the one at PATH, and again, as often as `--pairs` says, so that other
load on the machine affects both; those that take minutes run half as often. Both run with the Python of this process,
by what both offer: the command, the server and its API, `genre.load().classify`, train.py. Prints a Markdown table with
the medians, their ratio, and the lowest and highest ratio of a pair. Five pairs take about 20 minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.material import cut_clips, cut_file, repeat_file
from benchmarks.server import ROOT, running_app

# Seconds of a call once the first file has been classified, and of decoding by one thread of PyAV, for each file.
WARM = """
import json, sys, time
import av, genre
classifier, results = genre.load(), {}
def decode(path):
    with av.open(path) as container:
        track = container.streams.audio[0]
        track.codec_context.thread_count = 1
        resampler = av.AudioResampler(format="flt", layout="mono", rate=44100)
        for frame in container.decode(track):
            resampler.resample(frame)
        resampler.resample(None)
classifier.classify(sys.argv[2])
for path in sys.argv[3:]:
    for name, call in (("classify", classifier.classify), ("decode", decode)):
        seconds = []
        for _ in range(int(sys.argv[1])):
            started = time.perf_counter()
            call(path)
            seconds.append(time.perf_counter() - started)
        results[f"{name} {path}"] = sorted(seconds)[len(seconds) // 2]
print(json.dumps(results))
"""
STEPS, BATCH = 30, 64  # of an epoch, in all checkouts the fewest there are; and windows of a step
MEMBERS = ("sparse", "smooth", "whole")
LONG = ("hour", "folder", "training")  # measurements that run half as often
Figures = dict[str, float]  # by the name of a row


class Bench:
    """Measures a checkout by its folder.

    Args:
        songs: folder with mp3 files.
        work: folder for the material.
    """

    def __init__(self, songs: Path, work: Path):
        self.work = work
        self.clip = cut_file(songs, work / "clip.mp3", 30)
        self.song = cut_file(songs, work / "song.mp3", 4 * 60)
        self.songs = songs

    def command(self, checkout: Path) -> Figures:
        """Start of the command to its prediction for a clip, and the peak memory of its process."""
        seconds, megabytes = _run(checkout, "-m", "genre", self.clip)
        return {"`genre song.mp3`, s": seconds, "its peak memory, MB": megabytes}

    def server(self, checkout: Path) -> Figures:
        """Start of the server to its first prediction by the API, and its memory then, decoding processes included."""
        from gradio_client import Client, handle_file

        started = time.perf_counter()
        with running_app(program=checkout / "app.py") as app:
            Client(app.address, verbose=False).predict(handle_file(str(self.clip)), api_name="/classify")
            seconds = time.perf_counter() - started
            return {"server start to first prediction, s": seconds, "its memory then, MB": app.memory_mb()}

    def warm(self, checkout: Path) -> Figures:
        """A clip and a song with a loaded model."""
        of = self._warm(checkout, 5, self.clip, self.song)
        clip, song = (of[f"classify {path}"] for path in (self.clip, self.song))
        return {
            "clip of 30 s, warm, s": clip,
            "in units of its decoding by one thread": clip / of[f"decode {self.clip}"],
            "song of 4 minutes, warm, s": song,
        }

    def hour(self, checkout: Path) -> Figures:
        """An hour of music with a loaded model."""
        path = self.work / "hour.mp3"
        if not path.exists():
            repeat_file(self.song, path, 15)
        return {"hour, warm, s": self._warm(checkout, 1, path)[f"classify {path}"]}

    def folder(self, checkout: Path) -> Figures:
        """300 clips by the command, with its start."""
        if not (self.work / "clips").exists():
            cut_clips(self.songs, self.work / "clips", 300)
        return {"folder of 300 clips by the command, s": _run(checkout, "-m", "genre", self.work / "clips", "--csv")[0]}

    def busy(self, checkout: Path) -> Figures:
        """Clip and command beside a process that keeps one core busy."""
        with _busy_process():
            clip = self._warm(checkout, 5, self.clip)[f"classify {self.clip}"]
            command = _run(checkout, "-m", "genre", self.clip)[0]
        return {"clip beside a busy process, s": clip, "command beside a busy process, s": command}

    def training(self, checkout: Path) -> Figures:
        """The second epoch of each member on random arrays, with its validation."""
        arrays = self.work / "arrays"
        if not arrays.exists():
            _write_arrays(arrays)
        options = [checkout / "train.py", "--data", arrays, "--from-scratch", "--epochs", 2, "--members"]
        figures = {}
        for member in MEMBERS:
            with tempfile.TemporaryDirectory(dir=self.work) as out:
                process = _start(checkout, *options, member, "--out", f"{out}/x", cwd=Path(out), stdout=subprocess.PIPE)
                ends = [time.perf_counter() for line in process.stdout or () if line.startswith("epoch ")]
                if process.wait() or len(ends) != 2:
                    raise SystemExit(f"{checkout}: the training of {member} ended with status {process.returncode}")
            figures[f"training of *{member}*, windows a second"] = STEPS * BATCH / (ends[1] - ends[0])
        return figures

    def _warm(self, checkout: Path, repeat: int, *paths: Path) -> Figures:
        command = [sys.executable, "-c", WARM, str(repeat), str(self.clip), *map(str, paths)]
        environment = os.environ | {"GOMP_SPINCOUNT": "600"}  # as the command and the page set it
        done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


def _start(
    checkout: Path, *arguments: object, cwd: Path | None = None, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd or checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _run(checkout: Path, *arguments: object) -> tuple[float, float]:
    """Run Python with these arguments: its seconds, and the peak of its resident memory in MB (of 1,000 KiB)."""
    started = time.perf_counter()
    process = _start(checkout, *arguments)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait for it again
    if process.returncode:
        raise SystemExit(f"{checkout}: {' '.join(map(str, arguments))} ended with status {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1000


def _write_arrays(folder: Path) -> None:
    """Prepared arrays of random numbers in eight genres, see genre/data/dataset.py."""
    folder.mkdir()
    random, splits = np.random.default_rng(0), ["training"] * STEPS * BATCH + ["validation"] * BATCH
    rows = [f"{i},genre {i % 8},{split}" for i, split in enumerate(splits)]
    (folder / "index.csv").write_text("\n".join(["track_id,genre,split", *rows]) + "\n")
    np.save(folder / "logmel_30s.npy", random.integers(0, 128, (len(rows), 128, 128), np.uint8))
    np.save(folder / "mfcc_30s.npy", random.integers(-200, 200, (len(rows), 20, 1290), np.int16))


@contextmanager
def _busy_process() -> Iterator[None]:
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        neighbour.kill()
        neighbour.wait()


def compare(measure: Callable[[Path], Figures], other: Path, pairs: int) -> None:
    """Print a row for each figure of a measurement."""
    results: list[tuple[Figures, Figures]] = []
    for pair in range(pairs):
        order = [other, ROOT] if pair % 2 else [ROOT, other]
        figures = {checkout: measure(checkout) for checkout in order}
        results.append((figures[ROOT], figures[other]))
    for row in results[0][0]:
        ours, theirs = (median(pair[side][row] for pair in results) for side in (0, 1))
        ratios = sorted(here[row] / there[row] for here, there in results)
        print(
            f"| {row} | {theirs:.4g} | {ours:.4g} | {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="a folder with mp3s anywhere in it")
    parser.add_argument("--against", type=Path, required=True, metavar="PATH", help="the other checkout")
    parser.add_argument("--pairs", type=int, default=5, help="measurements in each checkout (5)")
    names = ["command", "server", "warm", "hour", "folder", "busy", "training"]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="some of the measurements (all)")
    arguments = parser.parse_args()
    print("| | other checkout | this one | ratio, this to other |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(arguments.songs, Path(work))
        for name in arguments.only:
            pairs = -(-arguments.pairs // 2) if name in LONG else arguments.pairs
            compare(getattr(bench, name), arguments.against.resolve(), pairs)


if __name__ == "__main__":
    main()
