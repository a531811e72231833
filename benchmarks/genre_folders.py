"""How many songs of a folder of genre folders get the genre of their folder.

    python -m benchmarks.genre_folders FOLDER [--checkpoint NAME] [--note]

With --note the count is written into the checkpoint's metrics.json and card.
"""

import argparse
from pathlib import Path

import genre
from genre.hub.card import add_note
from genre.models.checkpoint import DEFAULT, SHIPPED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", default=DEFAULT, help="a name in checkpoints/")
    parser.add_argument("--note", action="store_true", help="write the count into the checkpoint")
    arguments = parser.parse_args()

    counts = {}
    classifier = genre.load(arguments.checkpoint)
    paths = [p for p in sorted(arguments.folder.glob("*/*.mp3")) if p.parent.name in classifier.labels]
    for part, seconds in (("whole songs", None), ("their first 30 s", 30)):
        ranks = []
        for path in paths:
            prediction = classifier.classify(path, seconds=seconds)
            ranks.append(list(prediction.probabilities).index(path.parent.name) + 1)
            print(f"{path.parent.name:>14}  heard {prediction.genre} {prediction.confidence:.0%}  {path.name}")
        counts[part] = f"top-1 {sum(r == 1 for r in ranks)}, top-3 {sum(r <= 3 for r in ranks)}"
    note = f"{len(paths)} Creative-Commons songs beyond FMA-small, by the genre their curators gave: " + "; ".join(
        f"{part}: {count} of {len(paths)}" for part, count in counts.items()
    )
    print(note)
    if arguments.note:
        add_note(SHIPPED / arguments.checkpoint, "python -m benchmarks.genre_folders SONGS --note", f"{note}.")


if __name__ == "__main__":
    main()
