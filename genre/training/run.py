"""Steps of train.py before and after training: summary of the data, evaluation by source, record for metrics.json."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from genre.data.dataset import SPLITS, DataSet
from genre.errors import DataError, GenreError
from genre.files import move, numbered, read_json
from genre.models.metrics import FILE
from genre.models.model import MEMBER_NAME, MUSIC_FILE, GenreModel
from genre.training.evaluate import evaluate, write_predictions
from genre.training.loop import Start, with_shares
from genre.training.recipe import Recipe, recipes_json

PICTURES = ("confusion.png", "curves.png")  # of the last training, see `genre.hub.card`


@contextmanager
def written_at_end(folder: Path) -> Iterator[Path]:
    """A folder of the same name to write a checkpoint to, which takes the place of this one's unless there is an error.

    The checkpoint that was in the folder is moved to one beside it; other files stay in the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
        new = Path(work) / folder.name
        new.mkdir()
        yield new
        folder.mkdir(exist_ok=True)
        names = {path.name for path in new.iterdir()}
        ours = {*_members(folder), MUSIC_FILE, FILE, *PICTURES, *names}
        before = [folder / name for name in ours if (folder / name).exists()]
        if before:
            aside = _earlier(folder)
            aside.mkdir()
            for path in before:
                path.replace(aside / path.name)
            print(f"The model that was in {folder} is now in {aside}.")
        for name in sorted(names, key="config.json".__eq__):  # it comes last: with it the checkpoint is complete
            move(new / name, folder / name)


def announce_earlier(folder: Path) -> None:
    """Before a training: print that the folder holds a model, and where that will be."""
    if (folder / "config.json").exists():
        print(f"{folder} holds a model; when the new one is complete, that is moved to {_earlier(folder)}.")


def _earlier(folder: Path) -> Path:
    """The next free name of a folder for the checkpoint that a new one replaces."""
    return next(path for path in numbered(folder.with_name(f"{folder.name}-earlier")) if not path.exists())


@contextmanager
def only_training(runs_folder: Path) -> Iterator[None]:
    """Keep other trainings from this folder of states; raises GenreError while another one writes it."""
    runs_folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(runs_folder / ".lock")  # released by the system, however the process ends
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise GenreError(
            f"Another training writes {runs_folder}; wait until it has ended, or give this one another name with --out."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _members(folder: Path) -> list[str]:
    """Folders of the members of the checkpoint in a folder; empty where there is none, or a damaged one."""
    try:
        names = [entry["folder"] for entry in read_json(folder / "config.json")["members"]]
        return [name for name in names if MEMBER_NAME.fullmatch(name)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def describe_data(data: DataSet) -> str:
    """Lines with the genres, and each source's tracks by split and share."""
    lines = [f"{len(data.genres)} genres: {', '.join(data.genres)}"]
    for source, share in zip(data.sources, data.shares, strict=True):
        counts = ", ".join(f"{len(source.of(split))} {split}" for split in SPLITS)
        lines.append(f"  {source.name}: {counts}, {len(source.dropped)} unusable; share {share:.0%}")
    return "\n".join(lines)


def check_genres(model: GenreModel, data: DataSet) -> None:
    """Raise DataError if a model is for other genres than those of the data."""
    if model.labels != data.genres:
        raise DataError(
            f"{model.name} classifies {', '.join(model.labels)}, the data has {', '.join(data.genres)}; "
            "give all of the sources that it was trained on. train.py's --counts-as renames genres."
        )


def evaluate_sources(model: GenreModel, data: DataSet, split: str, predictions: Path | None = None) -> dict[str, dict]:
    """Evaluate a model on a split of each source, and print the figures.

    Args:
        model: with the genres of the data.
        data: sources; those without tracks of the split are left out.
        split: "validation" or "test".
        predictions: folder for each track's probabilities, as SOURCE-SPLIT.csv; None writes none.

    Returns:
        the figures of `genre.training.evaluate.evaluate` by source.

    Raises:
        DataError: the model is for other genres.
    """
    check_genres(model, data)
    results = {}
    for source in data.sources:
        if not len(source.of(split)):
            continue
        results[source.name], probabilities = evaluate(model, source, split)
        print(format_figures(results[source.name], f"{source.name} {split}"))
        if predictions:
            write_predictions(predictions / f"{source.name}-{split}.csv", source, data.genres, split, probabilities)
    return results


def format_figures(figures: dict, title: str) -> str:
    """Lines with the figures of `genre.training.evaluate.evaluate`."""
    lines = []
    for level in ("first_window", "track"):
        one = figures[level]
        low, high = one["top1_interval_95"]
        lines.append(
            f"{title:>24}  {level.replace('_', ' '):<12}  top-1 {one['top1']:.1%} ({low:.1%} to {high:.1%})  "
            f"top-3 {one['top3']:.1%}  calibration error {one['calibration_error']:.1%}"
        )
    for name, one in figures["members"].items():
        lines.append(f"{title:>24}  {name:<12}  " + "  ".join(f"{key} {value}" for key, value in one.items()))
    return "\n".join(lines)


def training_record(command: str, start: Start, data: DataSet, recipes: dict[str, Recipe]) -> dict:
    """The entry `training` of metrics.json, see `genre.models.metrics`.

    Args:
        command: as it can be repeated.
        start: initial weights of the members.
        data: sources that the members were trained on.
        recipes: of the members, by name.
    """
    return {
        "command": command,
        "start": str(start),
        "genres": data.genres,
        "sources": {
            source.name: {"share": round(share, 4), **{split: len(source.of(split)) for split in SPLITS}}
            for source, share in zip(data.sources, data.shares, strict=True)
        },
        "members": recipes_json(recipes),
        "batch_shares": {
            name: [round(share, 4) for share in with_shares(data, recipe).shares] for name, recipe in recipes.items()
        },
    }
