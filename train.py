"""Fine-tune ImageNet-pretrained networks on 3-second log-mel windows, and measure what comes out.

    python train.py --data DIR --out checkpoints/NAME --test          train, fuse, calibrate, evaluate, save
    python train.py --data DIR --evaluate checkpoints/NAME            measure a checkpoint again

DIR is a folder of prepared arrays; `genre/data.py` documents it and writes it from audio. Every choice (best epoch,
fusion weights, temperature) is made on the validation split; the test split is read only with --test, at the end.
"""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import torch

from genre.card import write_card
from genre.checkpoint import load_checkpoint, save_checkpoint, write_json
from genre.data import FORMATS, Index, Windows, read_index
from genre.errors import GenreError
from genre.evaluate import evaluate, fit_fusion, member_log_probabilities
from genre.frontend import FRONT_ENDS
from genre.model import RANDOM, Member, create_backbone
from genre.training import RECIPES, Recipe, train_member


def main() -> None:
    arguments = parse_arguments()
    try:
        index = read_index(arguments.data)
        print(f"{len(index.rows)} tracks, {len(index.genres)} genres; left out as unusable: {len(index.dropped)}")
        if arguments.evaluate:
            show(evaluate(load_checkpoint(arguments.evaluate), index, arguments.split), arguments.split)
        else:
            train(arguments, index)
    except GenreError as error:
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped; the epochs that are done are kept, --resume goes on after them.")


def train(arguments: argparse.Namespace, index: Index) -> None:
    members = {name: train_one(arguments, index, name) for name in arguments.front_end}
    log_probabilities, labels = member_log_probabilities(members, index, "validation")
    window = fit_fusion(torch.stack([one[:, 0] for one in log_probabilities]), labels)
    track = fit_fusion(torch.stack([one.exp().mean(1).log() for one in log_probabilities]), labels)
    save_checkpoint(arguments.out, index.genres, members, window, track)

    checkpoint = load_checkpoint(arguments.out.resolve())  # what is measured is what was stored
    splits = ("validation", "test") if arguments.test else ("validation",)
    figures = {split: evaluate(checkpoint, index, split) for split in splits}
    for split, result in figures.items():
        show(result, split)
    write_json(arguments.out / "metrics.json", {"training": describe(arguments, index), **figures})
    write_card(arguments.out)


def train_one(arguments: argparse.Namespace, index: Index, name: str) -> Member:
    """Train the member of one front end; its state after each epoch is kept in runs/."""
    recipe = recipe_for(arguments, name)
    training, validation = Windows(index, "training", name), Windows(index, "validation", name)
    print(f"{name}: {recipe.backbone} on {len(training)} tracks, {recipe.epochs} epochs")
    torch.manual_seed(recipe.seed)
    weights = RANDOM if arguments.from_scratch else arguments.weights
    backbone = create_backbone(recipe.backbone, len(index.genres), weights)
    member = Member(backbone, FRONT_ENDS[name], *training.statistics(), recipe.input_size)
    state_file = Path("runs") / arguments.out.name / f"{name}.pt"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train_member(member.to(device), training, validation, recipe, state_file, arguments.resume)
    return member.cpu()


def recipe_for(arguments: argparse.Namespace, name: str) -> Recipe:
    """The front end's recipe with what the command line changes."""
    fields = ("backbone", "epochs", "windows_per_track", "batch_size", "learning_rate", "seed")
    changes = {field: value for field in fields if (value := getattr(arguments, field)) is not None}
    return replace(RECIPES[name], **changes)


def describe(arguments: argparse.Namespace, index: Index) -> dict:
    return {
        "command": "python train.py " + shlex.join(_without_folders(argument) for argument in sys.argv[1:]),
        "start": "random weights" if arguments.from_scratch else "ImageNet weights",
        "data": "FMA-small, official split" if len(index.genres) == 8 else str(arguments.data),
        "tracks": {split: len(index.of(split)) for split in ("training", "validation", "test")},
        "left_out": index.dropped,
        "members": {name: repr(recipe_for(arguments, name)) for name in arguments.front_end},
    }


def _without_folders(argument: str) -> str:
    """Where somebody keeps the data and the weights is nobody's business."""
    return Path(argument).name if Path(argument).is_absolute() or argument.startswith("..") else argument


def show(figures: dict, split: str) -> None:
    for level in ("first_window", "track"):
        one = figures[level]
        low, high = one["top1_interval_95"]
        print(
            f"{split:>10}  {level.replace('_', ' '):<12}  top-1 {one['top1']:.1%} ({low:.1%} to {high:.1%})  "
            f"top-3 {one['top3']:.1%}  calibration error {one['calibration_error']:.1%}"
        )
    for name, one in figures["members"].items():
        print(f"{split:>10}  {name:<12}  " + "  ".join(f"{key} {value}" for key, value in one.items()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared arrays")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/mine"), help="checkpoint folder to write")
    parser.add_argument(
        "--front-end", nargs="+", choices=list(FORMATS), default=["sparse", "smooth"], help="one member each"
    )
    parser.add_argument("--backbone", help="any timm image model (tf_efficientnet_lite0)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--weights", type=Path, help="ImageNet weights from a file instead of the Hub")
    start.add_argument("--from-scratch", action="store_true", help="random weights, to see what ImageNet is worth")
    for name, kind in (("epochs", int), ("windows-per-track", int), ("batch-size", int), ("learning-rate", float)):
        parser.add_argument(f"--{name}", type=kind, help="instead of the recipe's, see genre/training.py")
    parser.add_argument("--seed", type=int, help="of everything random (0)")
    parser.add_argument("--resume", action="store_true", help="go on after the last finished epoch")
    parser.add_argument("--test", action="store_true", help="also read the test split, for the finished checkpoint")
    parser.add_argument("--evaluate", metavar="CHECKPOINT", help="measure this checkpoint instead of training")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="for --evaluate")
    return parser.parse_args()


if __name__ == "__main__":
    main()
