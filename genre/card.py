"""The model card of a checkpoint, written from its metrics.json."""

from pathlib import Path

from genre.checkpoint import LEVELS, read_metrics
from genre.files import read_json, write_json

USE = (
    "For sorting, browsing and playing with a music collection, where a wrong genre does no harm. Not for deciding "
    "about people, their rights or their pay, and not for sound that is not music."
)
LIMITS = (
    "The labels are one opinion of one genre a track, often open to argument, and nothing outside the list can be "
    "named. Intros, speech and silence were not part of the training. It reports a probability, not a fact."
)
FMA_DATA = (
    "FMA-small (Defferrard et al., ISMIR 2017): 30 s clips from the middle of tracks of the Free Music Archive, "
    "labelled by its curators. The audio is under the Creative Commons licence that each artist chose, the metadata "
    "under CC BY 4.0, and the data set is meant for research. No audio is part of this checkpoint."
)
OTHER_DATA = "Collected by whoever trained this checkpoint; its licences are theirs to state. No audio is part of it."


def write_card(folder: Path) -> None:
    """Write README.md into a checkpoint's folder."""
    config = read_json(folder / "config.json")
    metrics = read_metrics(folder)
    training = metrics["training"]
    sections = [
        f"# {config['name']}",
        f"Tells which of {len(config['labels'])} genres a song belongs to ({', '.join(config['labels'])}) from "
        f"{config['window_seconds']:g}-second log-mel windows.",
        "## Members\n\n"
        + _table(
            ["member", "weight, window", "weight, track"],
            [[m["folder"], *(_weight(m["weight"], level) for level in LEVELS)] for m in config["members"]],
        ),
        f"## Training\n\nStarted from {training['start']}, trained on {training['data']} "
        f"({training['tracks']['training']} tracks). Best epoch, fusion weights and temperature were chosen on "
        f"validation ({training['tracks']['validation']} tracks).\n\n    {training['command']}"
        + _kept(training.get("kept", {})),
        "## Results\n\n" + _results(metrics),
        *([_notes(metrics["notes"])] if metrics.get("notes") else []),
        f"## Intended use\n\n{USE}",
        f"## Data\n\n{FMA_DATA if training['data'].lower().startswith('fma') else OTHER_DATA}",
        f"## Limits\n\n{LIMITS}",
        '## How to load\n\n```python\nimport genre\n\nclassifier = genre.load("hf-hub:user/repo")  # or this folder\n'
        'print(classifier.classify("song.mp3"))\n```',
    ]
    (folder / "README.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def add_note(folder: Path, command: str, text: str) -> None:
    """Write what a command measured into a checkpoint's metrics.json and card, in place of what it measured before."""
    metrics = read_metrics(folder)
    write_json(folder / "metrics.json", metrics | {"notes": metrics.get("notes", {}) | {command: text}})
    write_card(folder)


def _weight(weights: dict[str, float], level: str) -> str:
    return f"{weights[level]:.2f}" if level in weights else "sees more than a window"


def _kept(commands: dict[str, str]) -> str:
    """How members were trained that the command only put together."""
    lines = "".join(f"\n    {command}" for command in commands.values())
    return f"\n\nThe members that it keeps were trained before:\n{lines}" if commands else ""


def _results(metrics: dict) -> str:
    rows, parts = [], []
    for split in ("validation", "test"):
        for level in ("first_window", "track") if split in metrics else ():
            one = metrics[split][level]
            low, high = one["top1_interval_95"]
            rows.append(
                [split, level.replace("_", " "), f"{one['top1']:.1%}", f"{low:.1%} to {high:.1%}", f"{one['top3']:.1%}",
                 f"{one['calibration_error']:.1%}", f"{one['top1_of_surest_half']:.1%}"]
            )  # fmt: skip
    header = ["split", "level", "top-1", "95 % interval", "top-3", "calibration error", "top-1 of the surest half"]
    parts.append(_table(header, rows))
    split = "test" if "test" in metrics else "validation"
    track = metrics[split]["track"]
    parts.append(_certainty(track["certainty"], split))
    labels = track["confusion"]["labels"]
    parts.append(
        f"Tracks of the {split} split, true genre by row, predicted genre by column:\n\n"
        + _table(
            ["", *labels, "recall"],
            [
                [genre, *map(str, counts), f"{track['recall'][genre]:.0%}"]
                for genre, counts in zip(labels, track["confusion"]["counts"], strict=True)
            ],
        )
    )
    return "\n\n".join(parts)


def _certainty(figures: dict, split: str) -> str:
    alone = figures["top1_where_named_alone"]
    return (
        f"A genre is named alone where the confidence on validation was enough to be right two times in three. On "
        f"{split} that is {figures['named_alone']:.0%} of the tracks"
        + (f", and right for {alone:.0%} of those" if alone is not None else "")
        + ". The set of plausible genres was made to hold the true one for 90 % of the validation tracks; on "
        f"{split} it does for {figures['conformal_coverage']:.1%}, with {figures['conformal_size']:.1f} genres a track."
    )


def _notes(notes: dict[str, str]) -> str:
    return "## Also measured\n\n" + "\n".join(f"* {text} (`{command}`)" for command, text in notes.items())


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
