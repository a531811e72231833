"""Fine-tune ImageNet-pretrained networks on 3-second log-mel windows, and measure what comes out.

    python train.py --data DIR [DIR ...] --out checkpoints/NAME --test    train, fuse, calibrate, evaluate, save
    python train.py --data DIR --evaluate checkpoints/NAME                measure a checkpoint again
    python train.py --out checkpoints/NAME --push USER/REPO               publish it on the Hugging Face Hub

DIR is one of
    a folder with one sub-folder of songs a genre, in any audio format
    fma_small, which is downloaded (15 GB of disk), or a folder with fma_metadata/tracks.csv and
        fma_small/000/000002.mp3 ... where it lies already; its official split
    a folder of prepared log-mel arrays with an index.csv, see genre/data/dataset.py
Several may be given; each gets a share of every batch. Where a folder has no split of its own it is split by artist, no
artist in two splits over all folders. Audio is decoded once, on all cores, into an archive of log-mels. Every choice
(best epoch, fusion weights, temperature) is made on the validation splits; the test splits are read only with --test,
at the end.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from genre.data.dataset import DataSet
from genre.data.prepare import Preparation, is_prepared, prepare
from genre.data.splits import HeldOut
from genre.errors import DataError, GenreError
from genre.hub.card import write_card
from genre.hub.publish import push_checkpoint, push_space
from genre.json_files import write_json
from genre.malloc import keep_all_freed_memory
from genre.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre.training.calibrate import calibrate
from genre.training.evaluate import evaluate, write_predictions
from genre.training.members import Start, change_stage, recipe_from, train_member
from genre.training.recipe import RECIPES, Recipe

RUNS = Path("runs")  # archives, predictions, what training needs to go on, TensorBoard's logs


def main() -> None:
    arguments = parse_arguments()
    keep_all_freed_memory()
    precision = "bf16" if torch.cuda.is_available() else "no"
    accelerator = Accelerator(mixed_precision=precision, log_with="tensorboard", project_dir=RUNS)
    try:
        if arguments.data:
            known = load_checkpoint(arguments.evaluate or arguments.start_from) if needs_checkpoint(arguments) else None
            arguments.members = arguments.members or default_members(arguments, known)
            with accelerator.main_process_first(), only_first_prints(accelerator):
                data = prepare(preparation(arguments))  # the other processes find the archives finished
            accelerator.print(describe(data))
            if arguments.evaluate:
                measure(known, data, arguments.split, arguments.predictions)
            else:
                train(accelerator, arguments, data, known)
        if arguments.push and accelerator.is_main_process:
            publish(arguments)
    except GenreError as error:
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped; what is downloaded, decoded and trained is kept. --resume goes on after the last epoch.")


def needs_checkpoint(arguments: argparse.Namespace) -> bool:
    return bool(arguments.evaluate or arguments.start_from)


def default_members(arguments: argparse.Namespace, known: Checkpoint | None) -> list[str]:
    """Those of the checkpoint at hand, or those that the data has features for."""
    if known:
        return list(known.members)
    return ["smooth", "whole"] if any(map(is_prepared, arguments.data)) else ["dense"]


@contextmanager
def only_first_prints(accelerator: Accelerator) -> Iterator[None]:
    """Of several processes that do the same, only the first prints."""
    if accelerator.is_main_process:
        yield
    else:
        with redirect_stdout(None), redirect_stderr(None):
            yield


def preparation(arguments: argparse.Namespace) -> Preparation:
    return Preparation(
        folders=arguments.data,
        archives=arguments.archive or RUNS / "archives",
        front_ends=[RECIPES[name].front_end for name in arguments.members],
        shares=arguments.shares,
        counts_as=dict(arguments.counts_as),
        held_out=HeldOut(arguments.validation_fraction, arguments.test_fraction),
        augmented_copies=0 if arguments.evaluate else arguments.augmented_copies,
    )


def describe(data: DataSet) -> str:
    lines = [f"{len(data.genres)} genres: {', '.join(data.genres)}"]
    for source, share in zip(data.sources, data.shares, strict=True):
        counts = ", ".join(f"{len(source.of(split))} {split}" for split in ("training", "validation", "test"))
        lines.append(f"  {source.name}: {counts}, {len(source.dropped)} unusable; {share:.0%} of each batch")
    return "\n".join(lines)


def measure(checkpoint: Checkpoint, data: DataSet, split: str, predictions: Path | None = None) -> dict[str, dict]:
    """Figures by source, which are also printed; each track's probabilities go to `predictions`/SOURCE-SPLIT.csv.

    Raises:
        DataError: the checkpoint is for other genres.
    """
    if checkpoint.labels != data.genres:
        raise DataError(
            f"{checkpoint.name} knows {', '.join(checkpoint.labels)}, the data has {', '.join(data.genres)}; "
            "--counts-as renames genres, or give all of the sources that it was trained on."
        )
    results = {}
    for source in data.sources:
        if not len(source.of(split)):
            continue
        results[source.name], probabilities = evaluate(checkpoint, source, split)
        show(results[source.name], f"{source.name} {split}")
        if predictions:
            write_predictions(predictions / f"{source.name}-{split}.csv", source, data.genres, split, probabilities)
    return results


def train(accelerator: Accelerator, arguments: argparse.Namespace, data: DataSet, known: Checkpoint | None) -> None:
    start = Start(known, arguments.weights, arguments.from_scratch)
    runs_folder = RUNS / arguments.out.name
    recipes = {name: recipe_for(arguments, name, start) for name in arguments.members}
    members = {
        name: train_member(accelerator, name, recipe, data, start, runs_folder, arguments.resume)
        for name, recipe in recipes.items()
    }
    if not accelerator.is_main_process:
        return
    save_checkpoint(arguments.out, data.genres, members, *calibrate(members, data))
    checkpoint = load_checkpoint(arguments.out.resolve())  # what is measured is what was stored
    splits = ("validation", "test") if arguments.test else ("validation",)
    figures = {split: measure(checkpoint, data, split, runs_folder) for split in splits}
    metrics = {
        "training": {
            "command": "python train.py " + shlex.join(_without_folders(argument) for argument in sys.argv[1:]),
            "start": str(start),
            "genres": data.genres,
            "sources": {
                source.name: {
                    "share": round(share, 4),
                    **{split: len(source.of(split)) for split in ("training", "validation", "test")},
                }
                for source, share in zip(data.sources, data.shares, strict=True)
            },
            "members": {name: repr(recipe) for name, recipe in recipes.items()},
        },
        **figures,
    }
    write_json(arguments.out / "metrics.json", metrics)
    write_card(arguments.out)


def recipe_for(arguments: argparse.Namespace, name: str, start: Start) -> Recipe:
    """A member's recipe with what the command line changes, and with the network that it goes on from."""
    fields = ("backbone", "windows_per_track", "batch_size", "seed")
    changes = {field: value for field in fields if (value := getattr(arguments, field)) is not None}
    stage = {
        field: value
        for field in ("epochs", "learning_rate", "runs")
        if (value := getattr(arguments, field)) is not None
    }
    return change_stage(recipe_from(replace(RECIPES[name], **changes), name, start), start, **stage)


def publish(arguments: argparse.Namespace) -> None:
    options = {"public": arguments.public, "tag": arguments.tag, "dry_run": arguments.dry_run}
    published = push_checkpoint(arguments.out, arguments.push, **options)
    print(f"{published.url}, {'public' if arguments.public else 'private'} if new:")
    for path, size in published.files.items():
        print(f"  {size:>12,} bytes  {path}")
    if arguments.dry_run:
        print("Nothing was uploaded: this was a dry run.")
    elif arguments.space:
        print(push_space(arguments.push, arguments.space, published.tag, public=arguments.public))


def _without_folders(argument: str) -> str:
    """Absolute and outer paths are private: only the last part of them is recorded."""
    return Path(argument).name if Path(argument).is_absolute() or argument.startswith("..") else argument


def show(figures: dict, title: str) -> None:
    for level in ("first_window", "track"):
        one = figures[level]
        low, high = one["top1_interval_95"]
        print(
            f"{title:>24}  {level.replace('_', ' '):<12}  top-1 {one['top1']:.1%} ({low:.1%} to {high:.1%})  "
            f"top-3 {one['top3']:.1%}  calibration error {one['calibration_error']:.1%}"
        )
    for name, one in figures["members"].items():
        print(f"{title:>24}  {name:<12}  " + "  ".join(f"{key} {value}" for key, value in one.items()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", default=[], metavar="DIR", help="music or prepared arrays, see above")
    add("--shares", type=float, nargs="+", metavar="S", help="of each DIR in a batch (by the root of its size)")
    add(
        "--counts-as",
        nargs="+",
        default=[],
        type=_pair,
        metavar="A=B",
        help="genres that count as others, such as Classical=Instrumental",
    )
    for split in ("validation", "test"):
        add(f"--{split}-fraction", type=_fraction, default=0.1, metavar="F", help="of the artists held out (0.1)")
    add("--augmented-copies", type=int, default=4, metavar="N", help="of each training clip of genre folders (4)")
    add("--archive", type=Path, metavar="DIR", help="for the log-mels of audio (runs/archives)")
    add("--out", type=Path, default=Path("checkpoints/mine"), help="checkpoint folder to write")
    add(
        "--members",
        nargs="+",
        choices=list(RECIPES),
        help="networks to train and fuse (dense on audio, smooth and whole where there are prepared arrays)",
    )
    backbones = ", ".join(f"{name} {recipe.backbone}" for name, recipe in RECIPES.items())
    add("--backbone", help=f"any timm image model ({backbones})")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--weights", type=Path, help="ImageNet weights from a file instead of the Hub")
    start.add_argument(
        "--from",
        dest="start_from",
        metavar="CHECKPOINT",
        help="go on from a trained one with the second stage of the recipe; with a new head for other genres",
    )
    start.add_argument("--from-scratch", action="store_true", help="random weights, to see what ImageNet is worth")
    for name, kind, meaning in (
        ("epochs", int, "of the first stage, or with --from of the second"),
        ("learning-rate", float, "highest one of the cosine schedule of that stage"),
        ("runs", int, "trainings of that stage whose weights are averaged"),
        ("windows-per-track", int, "random windows of each track in an epoch"),
        ("batch-size", int, "windows of a step, over all processes"),
        ("seed", int, "of everything random"),
    ):
        add(f"--{name}", type=kind, metavar="N", help=f"{meaning} (as the recipe says, genre/training/recipe.py)")
    add("--resume", action="store_true", help="go on after the last finished epoch")
    add("--test", action="store_true", help="also read the test splits, for the finished checkpoint")
    add("--evaluate", metavar="CHECKPOINT", help="measure this checkpoint instead of training")
    add("--split", choices=("validation", "test"), default="validation", help="for --evaluate")
    add("--predictions", type=Path, metavar="DIR", help="for --evaluate: write each track's probabilities there")
    hub = parser.add_argument_group(
        "publishing", "needs `hf auth login` or HF_TOKEN; without --data, what lies in --out"
    )
    hub.add_argument("--push", metavar="USER/REPO", help="upload the checkpoint as one commit with a tag")
    hub.add_argument("--tag", help="name of the revision (the next of v1, v2, v3 ...)")
    hub.add_argument(
        "--space", metavar="USER/NAME", help="also run the page on it, in a Space that stays on that revision"
    )
    hub.add_argument("--public", action="store_true", help="what is new is for everybody to see (private)")
    hub.add_argument("--dry-run", action="store_true", help="only show what would be uploaded")
    arguments = parser.parse_args()
    if arguments.backbone and arguments.start_from:
        parser.error("--from goes on with the network of that checkpoint, so there is no --backbone to choose")
    if not arguments.data and not arguments.push:
        parser.error("give --data to train or to measure, or --push to publish")
    if arguments.shares and len(arguments.shares) != len(arguments.data):
        parser.error("give as many --shares as folders of --data")
    return arguments


def _pair(text: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise argparse.ArgumentTypeError("give it as GENRE=OTHER")
    return left, right


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 0.5:
        raise argparse.ArgumentTypeError("must be above 0 and below 0.5")
    return value


if __name__ == "__main__":
    main()
