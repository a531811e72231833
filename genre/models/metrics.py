"""metrics.json: how a checkpoint was trained, and its evaluation.

training    command, start, genres, sources {name: {share, training, validation, test}}, members {name: recipe},
            batch_shares {name of a member: share of each source};
            of a linear probe also probe {folds, songs {genre: number}, caveats}
validation  figures of `genre.training.evaluate` by source; of a linear probe by cross-validation
test        the same, where the test splits were read
notes       sentences with figures of benchmarks, by their command
"""

from pathlib import Path

from genre.files import read_json

FILE = "metrics.json"
SPLITS = ("validation", "test")


def read_metrics(folder: Path) -> dict:
    """Content of a checkpoint's metrics.json; empty where there is none.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the file has another layout.
    """
    path = folder / FILE
    metrics = read_json(path) if path.is_file() else {}
    for split in SPLITS:
        if split in metrics:
            main_source(metrics, split)
    return metrics


def best_split(metrics: dict) -> str:
    """The split whose figures count: test, where there are figures of it."""
    return "test" if "test" in metrics else "validation"


def named_split(metrics: dict, split: str, source: str) -> str:
    """What the figures of a split are about, in words."""
    if "probe" in metrics["training"]:
        return f"{source}, by cross-validation"
    return f"the {split} split of {source}"


def main_source(metrics: dict, split: str) -> str:
    """Of the sources with figures of a split, the one with the largest share of a training batch."""
    sources = metrics["training"]["sources"]
    return max(metrics[split], key=lambda name: sources[name]["share"])
