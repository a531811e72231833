"""Teaching other genres: the time it takes, and the accuracy by cross-validation.

    python -m benchmarks.teach time SONGS [--genres 3] [--songs 10] [--seconds 30]
    python -m benchmarks.teach accuracy FOLDER [--songs 20] [--test-artists] [--checkpoint NAME]

Both take a folder with a sub-folder of songs for each genre and use the first songs of each genre. `time` cuts these to
the same length. After one song that warms up, it runs the steps that the page runs, and then `train.py --mode probe`
with its start. `accuracy` fits a linear probe and prints its figures by cross-validation. Those are too high
on songs that the checkpoint was trained on; with --test-artists only songs of those artists are used that were held out
for test in the training of the shipped checkpoint.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import genre
from benchmarks.server import ROOT
from benchmarks.shipped_data import COUNTS_AS, HELD_OUT
from genre.audio.audio import Audio
from genre.data.dataset import assign_splits
from genre.data.sources import folder_songs
from genre.models.model import DEFAULT, GenreModel
from genre.training.probe import Song, describe_probe, embed, embed_folder, fit_probe, probe_model
from tests.conftest import write_audio

RATE = 44100


def songs_of(folder: Path, most: int, test_artists: bool) -> dict[str, list[Path]]:
    """The first songs of each genre, at most `most`."""
    found = folder_songs(folder)
    if test_artists:
        genres = [COUNTS_AS.get(song.genre, song.genre) for song in found]
        artists = [song.artist or str(song.path) for song in found]
        splits = assign_splits(genres, artists, [""] * len(found), HELD_OUT, {})
        found = [song for song, split in zip(found, splits, strict=True) if split == "test"]
    names = sorted({song.genre for song in found})
    return {name: [song.path for song in found if song.genre == name][:most] for name in names}


def cut_songs(songs: dict[str, list[Path]], seconds: float, folder: Path) -> None:
    for name, paths in songs.items():
        (folder / name).mkdir(parents=True)
        for path in paths:
            cut = Audio(path).samples(RATE, seconds=seconds)
            write_audio(folder / name / f"{path.stem}.mp3", [cut], "libmp3lame", rate=RATE)


def measure_time(folder: Path, genres: int, songs: int, seconds: float) -> None:
    """Print the seconds of each step."""
    chosen = dict(list(songs_of(folder, songs, False).items())[:genres])
    classifier = genre.load()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        cut_songs(chosen, seconds, work / "songs")
        embed(classifier, next((work / "songs").rglob("*.mp3")))
        started = time.perf_counter()
        embedded = embed_folder(work / "songs", classifier)
        read = time.perf_counter()
        probe = fit_probe(embedded, classifier.model)
        fitted = time.perf_counter()
        probe_model(GenreModel.from_pretrained(), probe, "songs", "").save_pretrained(work / "mine")
        genre.load(work / "mine")
        saved = time.perf_counter()
        options = ["--data", "songs", "--from", DEFAULT, "--mode", "probe", "--out", "mine"]
        command = [sys.executable, str(ROOT / "train.py"), *options]
        subprocess.run(command, cwd=work, check=True, capture_output=True)
        ended = time.perf_counter()
    print(f"{len(embedded)} songs of {seconds:g} s in {len(chosen)} genres")
    for step, duration in (
        ("features of the songs", read - started),
        ("cross-validation and fit", fitted - read),
        ("save and load the model", saved - fitted),
        ("together, as on the page", saved - started),
        ("train.py --mode probe, with its start", ended - saved),
    ):
        print(f"{duration:8.2f} s  {step}")


def measure_accuracy(folder: Path, songs: int, test_artists: bool, name: str) -> None:
    """Print the figures of a probe."""
    classifier = genre.load(name)
    chosen = songs_of(folder, songs, test_artists)
    embedded = [
        Song(path.name, label, Audio(path).tags.artist, embed(classifier, path))
        for label, paths in chosen.items()
        for path in paths
    ]
    artists = {label: len({song.artist for song in embedded if song.genre == label}) for label in chosen}
    print(", ".join(f"{label}: {len(paths)} songs, {artists[label]} artists" for label, paths in chosen.items()))
    print(describe_probe(fit_probe(embedded, classifier.model)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    timed, right = commands.add_parser("time"), commands.add_parser("accuracy")
    for command in (timed, right):
        command.add_argument("folder", type=Path, help="a folder with a sub-folder of songs for each genre")
    timed.add_argument("--genres", type=int, default=3, help="number of them (3)")
    timed.add_argument("--songs", type=int, default=10, help="of each genre (10)")
    timed.add_argument("--seconds", type=float, default=30, help="of each song (30)")
    right.add_argument("--songs", type=int, default=20, help="of each genre (20)")
    right.add_argument("--test-artists", action="store_true", help="only those held out in the shipped training")
    right.add_argument("--checkpoint", default=DEFAULT, help="whose networks to use")
    arguments = parser.parse_args()
    if arguments.command == "time":
        measure_time(arguments.folder, arguments.genres, arguments.songs, arguments.seconds)
    else:
        measure_accuracy(arguments.folder, arguments.songs, arguments.test_artists, arguments.checkpoint)


if __name__ == "__main__":
    main()
