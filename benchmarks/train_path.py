"""Ways to a model for one's own genres, compared by accuracy and time.

    python -m benchmarks.train_path FOLDER [--songs 10 30 60] [--ways WAY ...] [--checkpoint NAME] [--weights FILE]

FOLDER has a sub-folder of songs for each genre. A third of each genre's artists are held out for test. Of the songs of
the other artists, at most N of each genre are given to `train.py` in three ways: for a linear probe on a checkpoint,
for fine-tuning that checkpoint, and for the member *dense* from ImageNet weights. Every model then classifies the test
songs from their files. A checkpoint that was trained on songs of the folder knows the test artists; name another one
with --checkpoint.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import chain, groupby, zip_longest
from pathlib import Path

import genre
from benchmarks.server import ROOT
from genre.data.dataset import HeldOut, assign_splits
from genre.data.sources import folder_songs
from genre.models.model import DEFAULT
from genre.training.calibrate import wilson_interval

HELD_OUT = HeldOut(validation=0.0, test=1 / 3)
WAYS = ["probe", "fine-tuning", "dense"]


def split_songs(folder: Path) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Songs by genre for training, those of different artists first, and for test."""
    training, test = {}, {}
    split_of: dict[str, str] = {}  # of artists, who may have songs of two genres
    for name, songs in groupby(folder_songs(folder), key=lambda song: song.genre):
        artists = {song.path: song.artist or str(song.path) for song in songs}
        splits = assign_splits([name] * len(artists), list(artists.values()), [""] * len(artists), HELD_OUT, split_of)
        test[name] = [path for path, split in zip(artists, splits, strict=True) if split == "test"]
        by_artist: dict[str, list[Path]] = {}
        for path, artist in artists.items():
            if path not in test[name]:
                by_artist.setdefault(artist, []).append(path)
        training[name] = [path for path in chain(*zip_longest(*by_artist.values())) if path]
    return training, test


def train(songs: dict[str, list[Path]], folder: Path, options: list[str]) -> float:
    """Train a model into folder/"mine" by `train.py`; returns the seconds it takes."""
    for name, paths in songs.items():
        (folder / "music" / name).mkdir(parents=True)
        for path in paths:
            (folder / "music" / name / path.name).symlink_to(path.resolve())
    started = time.perf_counter()
    command = [sys.executable, str(ROOT / "train.py"), "--data", "music", "--out", "mine", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def accuracy(checkpoint: Path, test: dict[str, list[Path]]) -> str:
    classifier = genre.load(checkpoint)
    right = [classifier.classify(path).genre == name for name, paths in test.items() for path in paths]
    low, high = wilson_interval(sum(right), len(right))
    return f"{sum(right) / len(right):.0%} ({low:.0%} to {high:.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of genre folders")
    parser.add_argument("--songs", type=int, nargs="+", default=[10, 30, 60], metavar="N", help="at most, of a genre")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="to measure (all)")
    parser.add_argument("--checkpoint", default=DEFAULT, help="for the probe and for fine-tuning (%(default)s)")
    parser.add_argument("--weights", help="ImageNet weights from a file instead of the Hub")
    arguments = parser.parse_args()
    start = Path(arguments.checkpoint)
    start_from = ["--from", str(start.resolve()) if start.is_dir() else arguments.checkpoint]
    weights = ["--weights", str(Path(arguments.weights).resolve())] if arguments.weights else []
    options = {
        "probe": [*start_from, "--mode", "probe"],
        "fine-tuning": start_from,
        "dense": ["--members", "dense", *weights],
    }
    training, test = split_songs(arguments.folder)
    print("test: " + ", ".join(f"{name} {len(paths)}" for name, paths in test.items()))
    print("| songs | " + " | ".join(arguments.ways) + " |\n|" + " --- |" * (len(arguments.ways) + 1))
    for number in arguments.songs:
        songs = {name: paths[:number] for name, paths in training.items()}
        print("| " + ", ".join(str(len(paths)) for paths in songs.values()), end="", flush=True)
        for way in arguments.ways:
            with tempfile.TemporaryDirectory() as name:
                seconds = train(songs, Path(name), options[way])
                print(f" | {accuracy(Path(name) / 'mine', test)}, {seconds / 60:.1f} min", end="", flush=True)
        print(" |")


if __name__ == "__main__":
    main()
