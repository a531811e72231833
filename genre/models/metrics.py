"""metrics.json: how a checkpoint was trained and what it scores.

training    command, start, genres, sources {name: {share, training, validation, test}}, members {name: recipe}
validation  figures of `genre.training.evaluate` by source
test        the same, where the test splits were read
notes       sentences that benchmarks measured, by their command
"""

from pathlib import Path

from genre.json_files import read_json

FILE = "metrics.json"
SPLITS = ("validation", "test")


def read_metrics(folder: Path) -> dict:
    """What a checkpoint's metrics.json holds; empty where there is none.

    Files that were written before a training could have several sources are read as if they named their only one.
    """
    path = folder / FILE
    metrics = read_json(path) if path.is_file() else {}
    training = metrics.get("training", {})
    if "data" not in training:
        return metrics
    name = training["data"].rpartition(", ")[0]
    sources = {name: {"share": 1.0, **training["tracks"]}}
    kept = {key: value for key, value in training.items() if key not in ("data", "tracks")}
    figures = {split: {name: _with_limits(metrics[split])} for split in SPLITS if split in metrics}
    return metrics | {"training": kept | {"sources": sources}} | figures


def _with_limits(figures: dict) -> dict:
    track = dict(figures["track"])
    return figures | {"track": {**track, "limits": track.pop("certainty")}}


def best_split(metrics: dict) -> str:
    """Where a checkpoint's figures are to be read: on test, if that was read."""
    return "test" if "test" in metrics else "validation"


def main_source(metrics: dict) -> str:
    """The source with the largest share of a training batch."""
    sources = metrics["training"]["sources"]
    return max(sources, key=lambda name: sources[name]["share"])
