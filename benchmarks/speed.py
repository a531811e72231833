"""Time, memory and size of this project in comparison with alternatives.

    python -m benchmarks.speed SONGS [--threads 2] [--clips 1000] [--repeat 7]

All systems classify the same mp3 files, which are cut out of the songs in SONGS, in separate processes with the same
number of threads and without a GPU. They take turns row by row, so that other load on the machine affects all of them.
Prints Markdown tables; after the figure of an alternative, its ratio to this project's is in brackets. Then it prints
the stages of this project's prediction. The systems are in benchmarks/peers.py; requirements-bench.txt installs them,
and those that are not installed are left out. benchmarks/versions.py compares this project with an earlier version of
itself.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median

from benchmarks.material import cut_clips, cut_file
from benchmarks.peers import SYSTEMS
from benchmarks.server import ROOT, seconds_to_first_answer

OURS = "ours"
FOLDER_SECONDS = 60  # of an alternative on the folder, enough for its rate


class Bench:
    """Runs systems in processes of their own.

    Args:
        threads: of every process.
        repeat: measurements of each median.
    """

    def __init__(self, threads: int, repeat: int):
        self.threads, self.repeat = threads, repeat

    def median(self, system: str, action: str, file: Path) -> float:
        """Median seconds of an action that the worker repeats within one process."""
        return median(self.worker(system, action, file, self.repeat))

    def start(self, system: str, clip: Path) -> float:
        """Median seconds of a whole process that classifies one file."""
        command = ["-m", "genre", clip] if system == OURS else ["-m", "benchmarks.worker", system, "first", clip]
        return median(self._timed(command)[0] for _ in range(self.repeat))

    def app(self, clip: Path) -> float:
        """Median seconds from the start of the server to its first prediction."""
        return median(seconds_to_first_answer(clip, self.environment()) for _ in range(self.repeat))

    def clips_a_second(self, system: str, folder: Path) -> float:
        """Rate of one process on a folder, its start included: ours by the command on all cores."""
        if system == OURS:
            out = folder.with_suffix(".jsonl")
            seconds, _ = self._timed(["-m", "genre", folder, "--cluster", "local", "--out", out])
            return len(out.read_text(encoding="utf-8").splitlines()) / seconds
        seconds, lines = self._timed(["-m", "benchmarks.worker", system, "folder", folder, FOLDER_SECONDS])
        return json.loads(lines[-1]) / seconds

    def worker(self, system: str, action: str, *arguments: object) -> object:
        """Result of an action of benchmarks/worker.py."""
        return json.loads(self._timed(["-m", "benchmarks.worker", system, action, *arguments])[1][-1])

    def environment(self) -> dict[str, str]:
        limits = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
        return dict.fromkeys(limits, str(self.threads)) | quiet | {"CUDA_VISIBLE_DEVICES": ""}

    def _timed(self, command: list) -> tuple[float, list[str]]:
        """Seconds of a Python process and the lines it printed."""
        print("...", *command[1:], file=sys.stderr)
        command, environment = [sys.executable, *map(str, command)], os.environ | self.environment()
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return time.perf_counter() - started, done.stdout.splitlines()


class Table:
    """Prints a Markdown table row by row, with a column for each installed system."""

    def __init__(self):
        self.systems = [name for name, system in SYSTEMS.items() if _is_installed(system)]
        print(f"| | {' | '.join(self.systems)} |\n| --- |{' --- |' * len(self.systems)}", flush=True)

    def row(self, title: str, unit: str, measure: Callable[[str], float | None], ratios: bool = True) -> None:
        """Measure each system and print; None where a measure does not apply to a system."""
        values = {system: measure(system) for system in self.systems}
        cells = [_cell(value, unit, values[OURS] if ratios and s != OURS else None) for s, value in values.items()]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def compare(bench: Bench, songs: Path, work: Path, clips: int) -> None:
    """Print the table of all systems, on material that is cut into `work`."""
    folder = cut_clips(songs, work / "clips", clips)
    clip = min(folder.iterdir())
    song = cut_file(songs, work / "song.mp3", 4 * 60)
    hour = cut_file(songs, work / "hour.mp3", 60 * 60)
    all_cores = Bench(os.cpu_count(), bench.repeat)

    table = Table()
    table.row("start of the command to its first prediction, clip of 30 s", "s", lambda s: bench.start(s, clip))
    table.row("start of the server to its first prediction", "s", lambda s: bench.app(clip) if s == OURS else None)
    classified, decoded = ({s: bench.median(s, action, clip) for s in table.systems} for action in ("time", "decode"))
    table.row("clip of 30 s, warm", "s", classified.get)
    table.row("its decoding alone", "s", decoded.get)
    table.row("clip, ratio to its decoding", "×", lambda s: classified[s] / decoded[s], ratios=False)
    table.row("song of 4 minutes, warm", "s", lambda s: bench.median(s, "time", song))
    hours = {s: bench.worker(s, "long", hour, clip) for s in table.systems}
    table.row("file of 1 hour, once", "s", lambda s: hours[s]["seconds"])
    table.row("its peak memory", "MB", lambda s: hours[s]["peak"] / 1e6)
    table.row("above the idle process", "MB", lambda s: (hours[s]["peak"] - hours[s]["idle"]) / 1e6)
    table.row(f"folder of {clips:,} such clips, all cores", "clips/s", lambda s: all_cores.clips_a_second(s, folder))
    sizes = {s: bench.worker(s, "size") for s in table.systems}
    table.row("installed packages, Gradio among them", "MB", lambda s: sizes[s]["installed"] / 1e6)
    table.row("without CUDA libraries", "MB", lambda s: (sizes[s]["installed"] - sizes[s]["cuda"]) / 1e6)
    table.row("weights", "MB", lambda s: sizes[s]["weights"] / 1e6)
    print("\n| stage of our prediction for the clip | ms |\n| --- | --- |")
    for stage, seconds in bench.worker(OURS, "stages", clip, bench.repeat).items():
        print(f"| {stage} | {1000 * median(seconds):.0f} |")


def _is_installed(system: type) -> bool:
    try:
        return all(metadata.distribution(name) for name in system.NEEDS)
    except metadata.PackageNotFoundError as error:
        print(f"{system.__name__} is left out: {error}", file=sys.stderr)
        return False


def _cell(value: float | None, unit: str, ours: float | None) -> str:
    if value is None:
        return "–"
    ratio = f" ({_number(value / ours)}×)" if ours is not None else ""
    return f"{_number(value)} {unit}{ratio}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _processor() -> str:
    """The processor's name by /proc where there is one."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.+)", info.read_text(encoding="utf-8")) if info.is_file() else None
    return name[1] if name else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="a folder with mp3s anywhere in it")
    parser.add_argument("--threads", type=int, default=2, help="of every process (2)")
    parser.add_argument("--clips", type=int, default=1000, help="in the folder (1000)")
    parser.add_argument("--repeat", type=int, default=7, help="measurements of each median (7)")
    arguments = parser.parse_args()
    bench = Bench(arguments.threads, arguments.repeat)
    print(f"{_processor()}, {os.cpu_count()} cores, {arguments.threads} threads, median of {arguments.repeat}\n")
    with tempfile.TemporaryDirectory() as work:
        compare(bench, arguments.songs, Path(work), arguments.clips)


if __name__ == "__main__":
    main()
