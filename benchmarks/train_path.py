"""Time of every step from a folder of songs to a prediction: python -m benchmarks.train_path SONGS

SONGS has a sub-folder of mp3s for each genre. Each song is cut into clips of 15 s that count as songs of their own, so
that few songs are enough for every step; the accuracy of such a split means nothing.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

import genre
from benchmarks.server import ROOT
from genre.audio.decode import decode

CUT_SECONDS, RATE = 15, 44100


def cut_songs(songs: Path, folder: Path) -> int:
    """Write the clips into a folder of genre folders; returns their number."""
    count = 0
    for path in sorted(songs.glob("*/*.mp3")):
        waveform = decode(path, RATE).numpy()
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        for number, first in enumerate(range(0, len(waveform) - CUT_SECONDS * RATE, CUT_SECONDS * RATE)):
            cut = waveform[first : first + CUT_SECONDS * RATE]
            soundfile.write(folder / path.parent.name / f"{path.stem}_{number}.flac", cut, RATE)
            count += 1
    return count


def run_train(folder: Path, *arguments: str) -> float:
    """Seconds that the training command takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, str(ROOT / "train.py"), *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="a folder of genre folders")
    songs = parser.parse_args().songs.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = cut_songs(songs, folder / "collection")
        new = ["--data", "collection", "--from", "fma-small", "--out", "mine"]
        # The second run finds the archive and the epoch finished, so it only starts, fuses, measures and saves.
        whole = run_train(folder, *new, "--epochs", "1")
        again = run_train(folder, *new, "--epochs", "1", "--resume")
        evaluate = run_train(folder, "--data", "collection", "--evaluate", "mine", "--split", "test")
        started = time.perf_counter()
        classifier = genre.load(folder / "mine")
        loaded = time.perf_counter()
        classifier.classify(next((folder / "collection").glob("*/*.flac")))
        classified = time.perf_counter()
    for step, seconds in (
        (f"archive of {clips} clips of {CUT_SECONDS} s and one epoch", whole - again),
        ("start, fuse, measure and save", again),
        ("measure again", evaluate),
        ("load", loaded - started),
        ("classify a clip", classified - loaded),
    ):
        print(f"{seconds:8.2f} s  {step}")


if __name__ == "__main__":
    main()
