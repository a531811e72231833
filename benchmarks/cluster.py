"""Throughput of a local Dask cluster that classifies an archive, and the core hours that FMA would take at that rate.

    python -m benchmarks.cluster SONGS [--clips 1000] [--whole 96]

Clips of 30 s are cut out of the mp3 files in SONGS; the whole songs are those files, repeated. The workers are
processes of this machine and have classified some files before they are timed. Their decoders and the client share its
cores, so the core hours are derived from the rate of as many workers as there are cores. Then two commands are timed
with their start: `python -m genre FOLDER`, and the same with `--cluster local`. Prints Markdown tables.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from distributed import LocalCluster

from benchmarks.material import cut_clips
from benchmarks.server import ROOT
from genre.inference.cluster import classify_files

WARM_UP = 8  # files a worker, so that each gets one
FMA_TRACKS, FMA_CLIP_SECONDS, FMA_FULL_HOURS = 106_574, 30, 343 * 24


@dataclass(frozen=True)
class Rate:
    """Throughput of a number of workers.

    Attributes:
        workers: processes.
        files: number of files that they classified.
        audio_seconds: length of the files together.
        seconds: that they took.
    """

    workers: int
    files: int
    audio_seconds: float
    seconds: float

    @property
    def files_a_second(self) -> float:
        return self.files / self.seconds

    @property
    def speed(self) -> float:
        """Seconds of audio that a worker classifies in a second."""
        return self.audio_seconds / self.seconds / self.workers


def link_songs(songs: Path, folder: Path, count: int) -> Path:
    """A folder of links to `count` songs, repeated where there are fewer."""
    folder.mkdir()
    for i, song in enumerate(islice(cycle(sorted(songs.rglob("*.mp3"))), count)):
        (folder / f"{i:05}.mp3").symlink_to(song.absolute())
    return folder


def rate(folder: Path, address: str, workers: int) -> Rate:
    """Label a folder's files on warm workers."""
    files = sorted(folder.iterdir())
    with tempfile.TemporaryDirectory() as work:
        classify_files(files[: WARM_UP * workers], Path(work) / "warm.jsonl", address)
        started = time.perf_counter()
        failed = classify_files(files, Path(work) / "genres.jsonl", address)
        seconds = time.perf_counter() - started
        rows = [json.loads(line) for line in (Path(work) / "genres.jsonl").read_text().splitlines()]
    if failed or len(rows) != len(files):
        raise SystemExit(f"{failed} of {len(rows)} files failed")
    return Rate(workers, len(rows), sum(row["seconds"] for row in rows), seconds)


def rates(clips: Path, songs: Path) -> tuple[Rate, Rate]:
    """Print a row for 1, 2, 4 ... workers up to a core each; returns the last, of clips and of whole songs."""
    cores = os.cpu_count()
    print("| workers | clips of 30 s | | whole songs | |\n| --- | --- | --- | --- | --- |", flush=True)
    for workers in sorted({min(2**i, cores) for i in range(cores.bit_length() + 1)}):
        with LocalCluster(workers, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as local:
            both = [rate(folder, local.scheduler_address, workers) for folder in (clips, songs)]
        cells = [f"{r.files_a_second:.1f} files/s | {r.speed:.0f} times real time a worker" for r in both]
        print(f"| {workers} | {' | '.join(cells)} |", flush=True)
    return both


def print_costs(clips: Rate, songs: Rate) -> None:
    """Core hours for two archives at these rates."""
    print("\n| archive | audio | core hours |\n| --- | --- | --- |")
    hours = FMA_TRACKS * FMA_CLIP_SECONDS / 3600
    print(f"| FMA-large, {FMA_TRACKS:,} clips of {FMA_CLIP_SECONDS} s | {hours:,.0f} h | {hours / clips.speed:.0f} |")
    print(f"| FMA-full, as many whole tracks | {FMA_FULL_HOURS:,} h | {FMA_FULL_HOURS / songs.speed:.0f} |")


def print_commands(folder: Path) -> None:
    """Files a second of whole commands on all cores, their start included."""
    print("\n| command | files/s |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as work:
        for options in ([], ["--cluster", "local", "--out", f"{work}/genres.jsonl"]):
            command = [sys.executable, "-m", "genre", str(folder), *options]
            started = time.perf_counter()
            subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
            seconds = time.perf_counter() - started
            words = " ".join(["python -m genre FOLDER", *options[:2]])
            print(f"| `{words}` | {len(list(folder.iterdir())) / seconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="a folder with mp3s anywhere in it")
    parser.add_argument("--clips", type=int, default=1000, help="clips of 30 s (1000)")
    parser.add_argument("--whole", type=int, default=96, help="whole songs (96)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        clips = cut_clips(arguments.songs, Path(work) / "clips", arguments.clips)
        songs = link_songs(arguments.songs, Path(work) / "songs", arguments.whole)
        print_costs(*rates(clips, songs))
        print_commands(clips)


if __name__ == "__main__":
    main()
