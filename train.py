"""Fine-tune ImageNet-pretrained networks on 3-second log-mel windows, and measure what comes out.

    python train.py --data DIR --out checkpoints/NAME --test          train, fuse, calibrate, evaluate, save
    python train.py --data DIR --evaluate checkpoints/NAME            measure a checkpoint again
    python train.py --out checkpoints/NAME --push USER/REPO           publish it on the Hugging Face Hub

DIR is one of
    a folder with one sub-folder of songs a genre, in any audio format; split by artist
    fma_small, which is downloaded (15 GB of disk), or a folder with fma_metadata/tracks.csv and
        fma_small/000/000002.mp3 ... where it lies already; its official split
    a folder of prepared log-mel arrays with an index.csv, see genre/data.py
Audio is decoded once, on all cores, into an archive of log-mels. Every choice (best epoch, fusion weights, temperature)
is made on the validation split; the test split is read only with --test, at the end.
"""

import argparse
import copy
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from genre.archive import build_archive
from genre.card import write_card
from genre.checkpoint import Checkpoint, average_windows, load_checkpoint, save_checkpoint
from genre.data import Index, Windows, read_index, stored_as
from genre.download import fetch_fma_small
from genre.errors import CheckpointError, DataError, GenreError
from genre.evaluate import BY_PHONE, evaluate, fit_certainty, fit_fusions, member_log_probabilities, write_predictions
from genre.files import write_json
from genre.frontend import FRONT_ENDS
from genre.memory import keep_all_memory
from genre.model import RANDOM, Member, average_weights, create_backbone, replace_head
from genre.publish import push_checkpoint, push_space
from genre.sources import fma_small, genre_folders, is_fma_small
from genre.training import RECIPES, Recipe, train_member

PREPARED_MEMBERS = ["sparse", "smooth", "whole"]
DATA_NAMES = {"fma_small": "FMA-small"}  # of folders, as people write them
RUNS = Path("runs")  # archives, what training needs to go on, TensorBoard's logs


def main() -> None:
    arguments = parse_arguments()
    keep_all_memory()
    precision = "bf16" if torch.cuda.is_available() else "no"
    accelerator = Accelerator(mixed_precision=precision, log_with="tensorboard", project_dir=RUNS)
    try:
        if arguments.data:
            set_members(arguments)
            with accelerator.main_process_first(), first_speaks(accelerator):
                folder = prepare(arguments)  # the others find the archive finished
            index = read_index(folder)
            accelerator.print(f"{len(index.rows)} tracks, {len(index.genres)} genres, {len(index.dropped)} unusable")
            if arguments.evaluate:
                measure(arguments, index)
            else:
                train(accelerator, arguments, index)
        if arguments.push and accelerator.is_main_process:
            publish(arguments)
    except GenreError as error:
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped; what is downloaded, decoded and trained is kept. --resume goes on after the last epoch.")


@contextmanager
def first_speaks(accelerator: Accelerator) -> Iterator[None]:
    """Of several processes that do the same, only the first is heard."""
    if accelerator.is_main_process:
        yield
    else:
        with redirect_stdout(None), redirect_stderr(None):
            yield


def set_members(arguments: argparse.Namespace) -> None:
    """Where none is asked for: those of the checkpoint at hand, or what the data is good for."""
    if arguments.members is None:
        known = arguments.evaluate or arguments.start_from
        prepared = (arguments.data / "index.csv").is_file()
        default = PREPARED_MEMBERS if prepared else ["dense"]
        arguments.members = list(load_checkpoint(known).members) if known else default


def prepare(arguments: argparse.Namespace) -> Path:
    """The folder of log-mel arrays: the data itself, or the archive that is made of its audio."""
    data = arguments.data
    if (data / "index.csv").is_file():
        return data
    if (data / "000").is_dir():
        raise DataError(f"{data} holds FMA's audio alone; name the folder above it, with fma_metadata/tracks.csv.")
    if data.name == "fma_small" and not is_fma_small(data):
        fetch_fma_small(data)
    if not data.is_dir():
        raise DataError(f"There is no folder {data}.")
    sources = fma_small(data) if is_fma_small(data) else genre_folders(data)
    archive = arguments.archive or RUNS / "archives" / data.resolve().name
    for front_end in {stored_as(RECIPES[name].front_end) for name in arguments.members}:
        build_archive(sources, front_end, archive)
    return archive


def measure(arguments: argparse.Namespace, index: Index) -> None:
    figures, probabilities = evaluate(load_checkpoint(arguments.evaluate), index, arguments.split)
    show(figures, arguments.split)
    if arguments.predictions:
        write_predictions(arguments.predictions, index, arguments.split, probabilities)


def train(accelerator: Accelerator, arguments: argparse.Namespace, index: Index) -> None:
    kept = find_kept(arguments, index)
    members = {
        name: kept[name].members[name] if name in kept else train_one(accelerator, arguments, index, name)
        for name in arguments.members
    }
    if accelerator.is_main_process:
        fuse(arguments, index, members, kept)


def find_kept(arguments: argparse.Namespace, index: Index) -> dict[str, Checkpoint]:
    """The checkpoint that each member that need not be trained is taken from; the first that has it."""
    kept = {}
    for checkpoint in map(load_checkpoint, arguments.keep):
        if checkpoint.labels != index.genres:
            raise CheckpointError(f"{checkpoint.name} is for other genres than this data; --from gives it new heads.")
        if "training" not in checkpoint.metrics:
            raise CheckpointError(f"{checkpoint.name} has no metrics.json that tells how it was trained.")
        kept = dict.fromkeys(set(checkpoint.members) & set(arguments.members), checkpoint) | kept
    return kept


def fuse(arguments: argparse.Namespace, index: Index, members: dict[str, Member], kept: dict[str, Checkpoint]) -> None:
    """Fit fusion and calibration on validation, save the checkpoint, measure it, write its card."""
    heard, labels = member_log_probabilities(members, index, "validation")
    by_phone, _ = member_log_probabilities(members, index, "validation", BY_PHONE)
    window, track = fit_fusions(members, heard, by_phone, labels)
    averages = torch.stack([average_windows(one) for one in heard.values()])
    save_checkpoint(arguments.out, index.genres, members, window, track, fit_certainty(track(averages), labels))

    checkpoint = load_checkpoint(arguments.out.resolve())  # what is measured is what was stored
    splits = ("validation", "test") if arguments.test else ("validation",)
    figures = {}
    for split in splits:
        figures[split], probabilities = evaluate(checkpoint, index, split)
        show(figures[split], split)
        write_predictions(arguments.out / f"predictions-{split}.csv", index, split, probabilities)
    write_json(arguments.out / "metrics.json", {"training": describe(arguments, index, kept), **figures})
    write_card(arguments.out)


def train_one(accelerator: Accelerator, arguments: argparse.Namespace, index: Index, name: str) -> Member:
    """Train one member, anew from the same start with every seed; their mean is the member.

    The state after each epoch and TensorBoard's logs are kept in runs/.
    """
    recipe = recipe_for(arguments, name)
    training, validation = (Windows(index, split, recipe.front_end) for split in ("training", "validation"))
    torch.manual_seed(recipe.seed)
    start = start_member(arguments, recipe, name, training, index.genres)
    ends = []
    for seed in arguments.seed:
        member = copy.deepcopy(start)
        accelerator.print(f"{name}: {recipe.backbone} on {len(training)} tracks, {recipe.epochs} epochs, seed {seed}")
        accelerator.init_trackers(f"{arguments.out.name}/{name}-{seed}")
        state_file = RUNS / arguments.out.name / f"{name}-{seed}.pt"
        train_member(
            accelerator, member, training, validation, replace(recipe, seed=seed), state_file, arguments.resume
        )
        accelerator.end_training()
        ends.append(member)
    return average_weights([start, *ends], [1 - arguments.part, *[arguments.part / len(ends)] * len(ends)])


def start_member(
    arguments: argparse.Namespace, recipe: Recipe, name: str, training: Windows, genres: list[str]
) -> Member:
    """A member before its training: from a checkpoint, from ImageNet weights, or from nothing."""
    if arguments.start_from:
        trained = load_checkpoint(arguments.start_from)
        if name not in trained.members:
            raise CheckpointError(f"{arguments.start_from} has no {name} member, only {', '.join(trained.members)}.")
        member = trained.members[name]
        if trained.labels == genres:
            return member
        print(
            f"{name}: from {trained.name}, with a new head for {len(genres)} genres in place of {len(trained.labels)}"
        )
        return replace_head(member, len(genres))
    weights = RANDOM if arguments.from_scratch else arguments.weights
    backbone = create_backbone(recipe.backbone, len(genres), weights)
    return Member(backbone, FRONT_ENDS[recipe.front_end], *training.statistics(), recipe.input_size)


def recipe_for(arguments: argparse.Namespace, name: str) -> Recipe:
    """A member's recipe with what the command line changes, and with the network that it goes on from."""
    fields = ("backbone", "epochs", "windows_per_track", "batch_size", "learning_rate")
    changes = {field: value for field in fields if (value := getattr(arguments, field)) is not None}
    changes["seed"] = arguments.seed[0]
    if arguments.start_from and (member := load_checkpoint(arguments.start_from).members.get(name)):
        changes |= {"backbone": member.backbone.pretrained_cfg["architecture"], "input_size": member.input_size}
    return replace(RECIPES[name], **changes)


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


def describe(arguments: argparse.Namespace, index: Index, kept: dict[str, Checkpoint]) -> dict:
    name = arguments.data.resolve().name
    start = "random weights" if arguments.from_scratch else arguments.start_from or "ImageNet weights"
    return {
        "command": "python train.py " + shlex.join(_without_folders(argument) for argument in sys.argv[1:]),
        "start": start,
        "data": f"{DATA_NAMES.get(name, name)}, {len(index.genres)} genres",
        "tracks": {split: len(index.of(split)) for split in ("training", "validation", "test")},
        "left_out": index.dropped,
        "members": {
            name: kept[name].metrics["training"]["members"][name] if name in kept else repr(recipe_for(arguments, name))
            for name in arguments.members
        },
        "kept": {name: source.metrics["training"]["command"] for name, source in kept.items()},
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
    parser.add_argument("--data", type=Path, metavar="DIR", help="music or prepared arrays, see above")
    parser.add_argument("--archive", type=Path, metavar="DIR", help="for the log-mels of audio (runs/archives/NAME)")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/mine"), help="checkpoint folder to write")
    parser.add_argument(
        "--members",
        nargs="+",
        choices=list(RECIPES),
        help=f"networks to train and fuse (dense on audio, {' '.join(PREPARED_MEMBERS)} on prepared arrays)",
    )
    parser.add_argument(
        "--keep",
        nargs="+",
        default=[],
        metavar="CHECKPOINT",
        help="take the members that these have from there; only the others are trained",
    )
    backbones = ", ".join(f"{name} {recipe.backbone}" for name, recipe in RECIPES.items())
    parser.add_argument("--backbone", help=f"any timm image model ({backbones})")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--weights", type=Path, help="ImageNet weights from a file instead of the Hub")
    start.add_argument(
        "--from",
        dest="start_from",
        metavar="CHECKPOINT",
        help="go on from a trained one, with a new head for other genres",
    )
    parser.add_argument(
        "--part",
        type=float,
        default=1.0,
        metavar="P",
        help="with --from on the same genres: end this part of the way to the new weights, such as 0.5",
    )
    start.add_argument("--from-scratch", action="store_true", help="random weights, to see what ImageNet is worth")
    for name, kind, meaning in (
        ("epochs", int, "passes over the training tracks"),
        ("windows-per-track", int, "random windows of each track in an epoch"),
        ("batch-size", int, "windows of a step, over all processes"),
        ("learning-rate", float, "highest one of the cosine schedule"),
    ):
        defaults = ", ".join(f"{recipe} {getattr(r, name.replace('-', '_'))}" for recipe, r in RECIPES.items())
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=f"{meaning} ({defaults})")
    parser.add_argument(
        "--seed",
        nargs="+",
        type=int,
        default=[0],
        metavar="N",
        help="of everything random (0); several go with --from: trained with each, a member ends as their mean",
    )
    parser.add_argument("--resume", action="store_true", help="go on after the last finished epoch")
    parser.add_argument("--test", action="store_true", help="also read the test split, for the finished checkpoint")
    parser.add_argument("--evaluate", metavar="CHECKPOINT", help="measure this checkpoint instead of training")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="for --evaluate")
    parser.add_argument("--predictions", type=Path, metavar="FILE", help="for --evaluate: write each track's as CSV")
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
    if arguments.part != 1 and not (arguments.start_from and 0 < arguments.part <= 1):
        parser.error("--part is a number from 0 to 1, and goes with --from")
    if arguments.backbone and arguments.start_from:
        parser.error("--from goes on with the network of that checkpoint, so there is no --backbone to choose")
    if not arguments.data and not arguments.push:
        parser.error("give --data to train or to measure, or --push to publish")
    return arguments


if __name__ == "__main__":
    main()
