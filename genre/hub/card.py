"""The model card of a checkpoint: its text by metrics.json, its metadata for the Hub, its pictures."""

import io
import re
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from PIL import Image, ImageDraw, ImageFont

from genre.data.hub import HubDataset, is_on_hub, parse
from genre.data.prepare import SOURCE_NAMES
from genre.files import printable, read_json, replaced, write_json
from genre.inference.export import COLOURS
from genre.models.model import (
    METRICS_FILE,
    SPLITS,
    GenreModel,
    best_split,
    main_source,
    named_split,
    read_metrics,
)

USE = (
    "The model is for sorting and browsing a music collection, where a wrong genre does no harm. It is not for "
    "decisions about people, their rights or their pay, and not for audio that is not music."
)
LIMITATIONS = (
    "Each track has a single label, which is often debatable. The set of genres is closed: a prediction is the nearest "
    "genre of the list, also for music of a genre that is not on it. The networks were not trained on speech or "
    "silence; a music detector, where there is one, was fitted to such recordings. The output is a probability, not a "
    "fact."
)
FMA_DATA = (
    "FMA-small (Defferrard et al., ISMIR 2017): 30 s clips from the middle of tracks of the Free Music Archive, "
    "labelled by its curators. The audio is under the Creative Commons licence that each artist chose, the metadata "
    "under CC BY 4.0, and the data set is meant for research. No audio is part of this checkpoint."
)
CONFUSION_PNG, CURVES_PNG = "confusion.png", "curves.png"
PANEL = (360, 150)  # of the curves of a stage, in pixels
LEVELS_OF_FIGURES = ("first_window", "track")
CELL, GAP, FONT_SIZE = 44, 8, 15  # in pixels
DARKEST = (8, 48, 107)  # white to dark blue: a single hue is safe for colour-blind people
OTHER_DATA = "collected by the person who trained this checkpoint, who states its licences. No audio is part of it."


def write_card(folder: Path) -> None:
    """Write the model card, README.md, into a checkpoint's folder, from its config.json and metrics.json."""
    config = read_json(folder / "config.json")
    metrics = read_metrics(folder)
    training = metrics["training"]
    sections = [
        f"# {_plain(config['name'])}",
        f"This model classifies music into {len(config['labels'])} genres ({', '.join(map(_plain, config['labels']))}) "
        f"from {config['window_seconds']:g}-second log-mel windows.",
        "## Members\n\n"
        + _table(
            ["member", "weight, window", "weight, track"],
            [[m["folder"], *(_weight(m["weight"], level) for level in ("window", "track"))] for m in config["members"]],
        ),
        "## Training\n\n" + (_probe(training) if "probe" in training else _training(training)),
        "## Results\n\n" + _results(metrics),
        *([_notes(metrics["notes"])] if metrics.get("notes") else []),
        f"## Intended use\n\n{USE}",
        "## Data\n\n" + _data(training),
        f"## Limitations\n\n{LIMITATIONS}",
        '## How to load\n\n```python\nimport genre\n\nclassifier = genre.load("hf-hub:user/repo")  # or this folder\n'
        'print(classifier.classify("song.mp3").headline.text)\n```',
    ]
    with replaced(folder / "README.md") as new:
        new.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def card_metadata(model: GenreModel) -> ModelCardData:
    """The front matter of the card, with test accuracies if metrics.json has them."""
    training = model.metrics.get("training", {})
    on_hub = hub_datasets(training)
    results = [
        EvalResult(
            task_type="audio-classification",
            task_name="Music genre classification",
            dataset_type=on_hub[source].repo if source in on_hub else re.sub("[ _]", "-", source.lower()),
            dataset_name=source,
            dataset_split="test",
            metric_type="accuracy",
            metric_name=name,
            metric_value=figures[level]["top1"],
        )
        for source, figures in model.metrics.get("test", {}).items()
        for level, name in (("track", "Top-1, track"), ("first_window", "Top-1, first window"))
    ]
    bases = {_base_model(member.backbone.pretrained_cfg) for member in model.members.values()} - {""}
    return ModelCardData(
        license="apache-2.0",
        library_name="timm",
        pipeline_tag="audio-classification",
        inference=False,  # no widget: the Hub has none for networks of timm on spectrograms
        tags=["music", "genre", "music-genre-classification", "audio-classification", "timm"],
        datasets=sorted({one.repo for one in on_hub.values()}) or None,
        base_model=sorted(bases) if bases and training.get("start") not in (None, "random weights") else None,
        metrics=["accuracy"] if results else None,
        model_name=model.name,
        eval_results=results or None,
    )


def _base_model(pretrained: dict) -> str:
    """The name on the Hub of timm's network with these weights; empty where it has none."""
    architecture, tag = pretrained.get("architecture"), pretrained.get("tag")
    return f"timm/{architecture}.{tag}" if architecture and tag else ""


def hub_datasets(training: dict) -> dict[str, HubDataset]:
    """The data sets of the Hub in the command of a training, by the names of their sources."""
    words = re.split(r"""[\s='"]""", training.get("command", ""))
    return {one.name: one for one in (parse(word) for word in words if is_on_hub(word))}


def add_note(folder: Path, command: str, text: str) -> None:
    """Store the result of a measurement in a checkpoint's metrics.json and card; replaces that of the same command."""
    metrics = read_metrics(folder)
    write_json(folder / METRICS_FILE, metrics | {"notes": metrics.get("notes", {}) | {command: text}})
    write_card(folder)


def _weight(weights: dict[str, float], level: str) -> str:
    return f"{weights[level]:.2f}" if level in weights else "none (its input is the clip)"


def _training(training: dict) -> str:
    sources = training["sources"]
    table = _table(
        ["source", "share", "training", "validation", "test"],
        [
            [_plain(name), f"{one['share']:.0%}", *(str(one[split]) for split in ("training", "validation", "test"))]
            for name, one in sources.items()
        ],
    )
    shared = training.get("shared_artists", 0)
    artists = "no artist is in two splits"
    if shared:
        artists = f"of the artists {shared} are in two splits, so that figures are too high"
    by_member = training.get("batch_shares", {}) if len(sources) > 1 else {}
    batches = "; ".join(f"{name} {', '.join(f'{share:.0%}' for share in one)}" for name, one in by_member.items())
    return (
        f"The members start from {training['start']}. These are the tracks of each source; {artists}:\n\n{table}\n\n"
        "Best epochs, fusion weights, temperature and thresholds were chosen on validation, with the sources weighted "
        + (f"by their shares, for epochs those of a batch ({batches})" if batches else "by their shares")
        + (", for the others the --validation-shares" if "--validation-shares" in training["command"] else "")
        + f".\n\n    {training['command']}"
    )


def _probe(training: dict) -> str:
    """The section on training of a linear probe."""
    probe = training["probe"]
    songs = ", ".join(f"{_plain(genre)} {number}" for genre, number in probe["songs"].items())
    caveats = "".join(f" {_plain(sentence)}" for sentence in probe["caveats"])
    return (
        f"A linear probe was fitted: the networks of {training['start']} are as they were, with new heads (multinomial "
        f"logistic regression on their pooled features) for {sum(probe['songs'].values())} songs ({songs}). The "
        f"results are by cross-validation in {probe['folds']} folds, with the songs of an artist in one fold; "
        "fusion weights, temperature and thresholds are fitted on its probabilities."
        f"{caveats}\n\n    {training['command']}"
    )


def _plain(text: str) -> str:
    """Text without a meaning in Markdown and HTML."""
    return re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", text)


def _data(training: dict) -> str:
    on_hub = hub_datasets(training)
    others = [name for name in training["sources"] if name != SOURCE_NAMES["fma_small"] and name not in on_hub]
    paragraphs = [FMA_DATA] if SOURCE_NAMES["fma_small"] in training["sources"] else []
    paragraphs += [
        f"{_plain(name)}: the data set [{one.repo}](https://huggingface.co/datasets/{one.repo}) of the Hugging Face Hub"
        f"{f', revision {_plain(one.revision)}' if one.revision else ''}, whose card states its licence. No audio is "
        "part of this checkpoint."
        for name, one in on_hub.items()
    ]
    if others:
        paragraphs.append(f"{', '.join(map(_plain, others))}: {OTHER_DATA}")
    return "\n\n".join(paragraphs)


def _results(metrics: dict) -> str:
    named = {"validation": "cross-validation"} if "probe" in metrics["training"] else {}
    rows = [
        [_plain(source), named.get(split, split), level.replace("_", " "), *_figures(figures[level])]
        for split in SPLITS
        for source, figures in metrics.get(split, {}).items()
        for level in LEVELS_OF_FIGURES
    ]
    header = ["source", "split", "level", "top-1", "95 % interval", "top-3", "calibration error", "most confident half"]
    split = best_split(metrics)
    parts = [
        _table(header, rows),
        *(
            _by_threshold(one["track"]["limits"], named_split(metrics, split, name))
            for name, one in metrics[split].items()
        ),
    ]
    source = main_source(metrics, split)
    track = metrics[split][source]["track"]
    labels = track["confusion"]["labels"]
    names = list(map(_plain, labels))
    parts.append(
        f"Tracks of {_plain(named_split(metrics, split, source))}, true genre by row, predicted genre by column:\n\n"
        + _table(
            ["", *names, "recall"],
            [
                [name, *map(str, counts), f"{track['recall'][genre]:.0%}"]
                for name, genre, counts in zip(names, labels, track["confusion"]["counts"], strict=True)
            ],
        )
    )
    return "\n\n".join(parts)


def _figures(one: dict) -> list[str]:
    low, high = one["top1_interval_95"]
    others = ("top3", "calibration_error", "top1_of_surest_half")
    return [f"{one['top1']:.1%}", f"{low:.1%} to {high:.1%}", *(f"{one[key]:.1%}" for key in others)]


def _by_threshold(figures: dict, what: str) -> str:
    alone = figures["top1_where_named_alone"]
    accuracy = f" (accuracy {alone:.0%})" if alone is not None else ""
    return (
        f"On {_plain(what)}, {figures['named_alone']:.0%} of the predictions are confident{accuracy}; "
        f"the prediction set contains the true genre for {figures['conformal_coverage']:.1%} of the tracks, with "
        f"{figures['conformal_size']:.1f} genres on average."
    )


def _notes(notes: dict[str, str]) -> str:
    return "## Also measured\n\n" + "\n".join(f"* {text} (`{command}`)" for command, text in notes.items())


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def confusion_image(confusion: dict) -> bytes:
    """Confusion matrix {labels, counts} as PNG: true genre by row, predicted by column; shades by share of the row."""
    labels, counts = confusion["labels"], confusion["counts"]
    font = ImageFont.load_default(FONT_SIZE)
    margin = 2 * GAP + round(max(font.getlength(text) for text in (*labels, "column: predicted")))
    size = CELL * len(labels)
    names = Image.new("RGB", (margin, size), "white")
    for row, label in enumerate(labels):
        at = (margin - GAP, CELL * (row + 0.5))
        ImageDraw.Draw(names).text(at, label, "black", font, anchor="rm")

    image = Image.new("RGB", (margin + size, margin + size), "white")
    image.paste(names, (0, 0))
    image.paste(names.transpose(Image.Transpose.ROTATE_90), (margin, size))  # right-aligned at the matrix, too
    draw = ImageDraw.Draw(image)
    draw.multiline_text((GAP, size + GAP), "row: true\ncolumn: predicted", "dimgray", font)
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            share = count / max(1, sum(line))
            left, top = margin + CELL * column, CELL * row
            shade = tuple(round(255 + share * (dark - 255)) for dark in DARKEST)
            draw.rectangle((left, top, left + CELL - 2, top + CELL - 2), shade)
            middle = (left + CELL / 2 - 1, top + CELL / 2 - 1)
            draw.text(middle, str(count), "white" if share > 0.6 else "black", font, anchor="mm")
    return _png(image)


def write_pictures(folder: Path, curves: dict[str, list[dict]] | None = None) -> None:
    """Write the confusion matrix of a checkpoint, by its metrics.json, and the curves of its training as images."""
    metrics = read_metrics(folder)
    split = best_split(metrics)
    confusion = metrics[split][main_source(metrics, split)]["track"]["confusion"]
    (folder / CONFUSION_PNG).write_bytes(confusion_image(confusion))
    if curves:
        (folder / CURVES_PNG).write_bytes(curves_image(curves))


def curves_image(curves: dict[str, list[dict]]) -> bytes:
    """Learning curves as PNG: a row for each stage of a member, with the losses and the accuracies of its epochs.

    Args:
        curves: the figures of each epoch of each run, by `<member>-<stage>-<run>`, see `train_stage`.
    """
    stages: dict[str, list[list[dict]]] = {}
    for name, epochs in curves.items():
        stages.setdefault(name.rpartition("-")[0], []).append(epochs)
    names = list(dict.fromkeys(key for epochs in curves.values() for one in epochs for key in one))
    accuracies = [name for name in names if name.endswith(" accuracy")]
    width, height = PANEL
    image = Image.new("RGB", (2 * width, len(stages) * height), "white")
    draw = ImageDraw.Draw(image)
    for row, (stage, runs) in enumerate(stages.items()):
        _panel(draw, (0, row * height), stage, runs, ["training loss", "validation loss"])
        _panel(draw, (width, row * height), "accuracy on validation", runs, accuracies)
    return _png(image)


def _panel(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], title: str, runs: list[list[dict]], names: list[str]
) -> None:
    """Draw these figures of runs over their epochs, each figure in a colour and each run as a line."""
    font = ImageFont.load_default(FONT_SIZE - 4)
    left, top, right, bottom = corner[0] + 48, corner[1] + 24, corner[0] + PANEL[0] - GAP, corner[1] + PANEL[1] - 40
    values = [epoch[name] for epochs in runs for epoch in epochs for name in names]
    low, high = min(values, default=0), max(values, default=1)
    last = max(map(len, runs))

    def place(epoch: int, value: float) -> tuple[float, float]:
        across = (epoch - 1) / (last - 1) if last > 1 else 0.5
        up = (value - low) / (high - low) if high > low else 0.5
        return left + across * (right - left), bottom - up * (bottom - top)

    draw.rectangle((left, top, right, bottom), outline="lightgray")
    draw.text((left, top - 4), title, "black", font, anchor="ls")
    for value, at in ((high, top), (low, bottom)):
        draw.text((left - 4, at), f"{value:.2f}", "dimgray", font, anchor="rm")
    draw.text((right, bottom + 4), f"epoch {last}", "dimgray", font, anchor="ra")
    start = float(left)
    for name, shade in zip(names, COLOURS * len(names), strict=False):
        for epochs in runs:
            points = [place(one["epoch"], one[name]) for one in epochs]
            draw.line(points, shade, 2)
            for x, y in points[-1:]:
                draw.ellipse((x - 2, y - 2, x + 2, y + 2), shade)
        label = printable(name.removesuffix(" accuracy"))
        draw.text((start, bottom + 20), label, shade, font)
        start += font.getlength(label) + GAP


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return file.getvalue()
