"""Accuracy on a folder with a sub-folder of songs for each genre, from the audio files by the whole pipeline.

    python -m benchmarks.genre_folders FOLDER [--checkpoint NAME] [--tracks FILE] [--counts-as A=B ...] [--note]
    python -m benchmarks.genre_folders FOLDER --labels FILE

Every song is classified twice: as a whole, and by its first 30 s. --tracks takes a table of predictions that `train.py`
writes (runs/NAME/SOURCE-test.csv), and only the songs in that table are used. With --note the counts are written into
the metrics.json and the model card of the checkpoint.

--labels is for songs of other genres than those of the checkpoint, in a folder without genre folders. FILE is a CSV
file with the columns id (the name of a song's file without its suffix) and label. The script prints for each label
which genres its songs are named, and how often no genre is named alone.
"""

import argparse
import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

import genre
from genre.audio.folders import find_audio
from genre.data.sources import folder_songs
from genre.hub.card import add_note
from genre.models.model import DEFAULT, SHIPPED
from train import renaming


def songs_of(folder: Path, tracks: Path | None, counts_as: dict[str, str], labels: list[str]) -> dict[Path, str]:
    """Files with their genre: all with a known one, or those of a table of predictions."""
    found = {song.path: counts_as.get(song.genre, song.genre) for song in folder_songs(folder)}
    songs = {path: name for path, name in found.items() if name in labels}
    if tracks:
        with tracks.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            chosen = {row["track_id"] for row in csv.DictReader(file)}
        songs = {path: name for path, name in songs.items() if path.relative_to(folder).as_posix() in chosen}
    return songs


def measure(classifier: genre.Classifier, songs: dict[Path, str], seconds: float | None) -> dict[str, dict[str, int]]:
    """Counts by genre: songs, those right by top-1 and by top-3, confident predictions, and right ones of these."""
    counts: dict[str, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(("songs", "top1", "top3", "alone", "right"), 0)
    )
    for path, name in songs.items():
        prediction = classifier.classify(path, seconds=seconds)
        rank = list(prediction.probabilities).index(name)
        print(f"{name:>14}  predicted {prediction.genre} {prediction.confidence:.0%}  {path.name}")
        found = {"songs": 1, "top1": rank == 0, "top3": rank < 3, "alone": prediction.confident}
        found["right"] = found["alone"] and found["top1"]
        for key, value in found.items():
            counts[name][key] += int(value)
    return counts


def name_others(classifier: genre.Classifier, folder: Path, table: Path) -> None:
    """Print for each label of a table, most songs first, which genres its songs in a folder are named."""
    with table.open(newline="", encoding="utf-8") as file:
        label_of = {row["id"]: row["label"] for row in csv.DictReader(file)}
    named: dict[str, Counter[str]] = defaultdict(Counter)
    for path in find_audio(folder).files:
        if path.stem in label_of:
            prediction = classifier.classify(path)
            named[label_of[path.stem]][prediction.genre if prediction.confident else "none alone"] += 1
    for label, counts in sorted(named.items(), key=lambda item: -item[1].total()):
        print(f"{label}: {counts.total()} songs; {', '.join(f'{name} {n}' for name, n in counts.most_common())}")


def in_words(counts: dict[str, dict[str, int]]) -> str:
    total = {key: sum(one[key] for one in counts.values()) for key in next(iter(counts.values()))}
    by_genre = ", ".join(f"{name} {one['top1']} of {one['songs']}" for name, one in sorted(counts.items()))
    return (
        f"top-1 {total['top1']}, top-3 {total['top3']} of {total['songs']}; named alone {total['alone']}, right "
        f"{total['right']} of those ({by_genre})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", default=DEFAULT, help="a name in checkpoints/")
    parser.add_argument("--tracks", type=Path, help="predictions of a split, as train.py writes them")
    parser.add_argument("--labels", type=Path, help="a table of the labels of songs of other genres")
    add = parser.add_argument
    add("--counts-as", type=renaming, nargs="+", default=[], metavar="A=B", help="genres that count as others")
    parser.add_argument("--note", action="store_true", help="write the counts into the checkpoint")
    arguments = parser.parse_args()
    classifier = genre.load(arguments.checkpoint)
    if arguments.labels:
        name_others(classifier, arguments.folder, arguments.labels)
        return
    songs = songs_of(arguments.folder, arguments.tracks, dict(arguments.counts_as), classifier.labels)
    if not songs:
        sys.exit(f"{arguments.folder} holds no song of {', '.join(classifier.labels)}.")
    parts = (("whole songs", None), ("their first 30 s", 30))
    results = [f"{part}: {in_words(measure(classifier, songs, seconds))}" for part, seconds in parts]
    held_out = " of the held-out test split" if arguments.tracks else ""
    note = f"{arguments.folder.resolve().name}, {len(songs)} songs{held_out}: " + "; ".join(results)
    print(note)
    if arguments.note:
        words = ["python -m benchmarks.genre_folders", arguments.folder.resolve().name]
        words += ["--tracks", arguments.tracks.name] if arguments.tracks else []
        words += ["--counts-as", *map("=".join, arguments.counts_as)] if arguments.counts_as else []
        add_note(SHIPPED / arguments.checkpoint, " ".join([*words, "--note"]), f"{note}.")


if __name__ == "__main__":
    main()
