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

    Files of earlier versions, with a single source, are converted to the present layout.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the file has another layout.
    """
    path = folder / FILE
    metrics = _of_sources(read_json(path)) if path.is_file() else {}
    for split in SPLITS:
        if split in metrics:
            main_source(metrics, split)
    return metrics


def _of_sources(metrics: dict) -> dict:
    """In the present layout, with figures by source."""
    training = metrics["training"]
    if "data" not in training:
        return metrics
    name = training["data"].rpartition(", ")[0]
    sources = {name: {"share": 1.0, **training["tracks"]}}
    rest = {key: value for key, value in training.items() if key not in ("data", "tracks")}
    figures = {split: {name: _with_limits(metrics[split])} for split in SPLITS if split in metrics}
    return metrics | {"training": rest | {"sources": sources}} | figures


def _with_limits(figures: dict) -> dict:
    track = dict(figures["track"])
    limits = track.pop("certainty")
    return figures | {"track": track | {"limits": limits}}


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
