"""Fine-tune ImageNet-pretrained networks on 3-second log-mel windows, and evaluate the checkpoint.

    python train.py --data DIR [DIR ...] --out checkpoints/NAME --test    train, fuse, calibrate, evaluate, save
    python train.py --data GENRE_FOLDERS --out checkpoints/NAME           fit new heads alone in minutes: a linear probe
    python train.py --data DIR --evaluate checkpoints/NAME                evaluate a checkpoint again
    python train.py --out checkpoints/NAME --push USER/REPO               publish it on the Hugging Face Hub

DIR is one of
    a folder with a sub-folder of songs for each genre, in any audio format
    fma_small, which is downloaded (15 GB of disk), or a folder with fma_metadata/tracks.csv and
        fma_small/000/000002.mp3 ... of an earlier download; with its official split
    a folder of prepared log-mel arrays with an index.csv, see genre/data/dataset.py
Each of multiple folders has a share of every batch. A folder without an official split is split by artist; no artist
is in two splits over all folders. Audio is decoded once, on all cores, to an archive of log-mels. Every choice (best
epoch, fusion weights, temperature) is made on the validation splits; the test splits are read only with --test, at the
end. A single folder of genre folders, with no option on how to train, is learned by a linear probe (--probe), whose
figures are by cross-validation; --from fma-small fine-tunes instead, --members dense starts from ImageNet weights.
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
from genre.data.prepare import Preparation, holds_genre_folders, is_prepared, prepare
from genre.data.splits import HeldOut
from genre.errors import GenreError
from genre.hub.card import write_card
from genre.hub.publish import push_checkpoint, push_space
from genre.inference.classify import Classifier
from genre.json_files import write_json
from genre.malloc import keep_all_freed_memory
from genre.models.checkpoint import DEFAULT, Checkpoint, load_checkpoint, save_checkpoint
from genre.training.calibrate import calibrate
from genre.training.members import Start, change_stage, recipe_from, train_member
from genre.training.probe import fit_probe
from genre.training.probe_run import describe_probe, embed_folder, save_probe
from genre.training.recipe import RECIPES, Recipe
from genre.training.run import describe_data, evaluate_sources, training_record

RUNS = Path("runs")  # archives, predictions, states of training, TensorBoard's logs
# What --probe can be given with; a probe has no test split, its figures are by cross-validation.
PROBE_OPTIONS = {
    *("probe", "start_from", "data", "counts_as", "out", "test", "push", "tag", "space", "public", "dry_run")
}


def main() -> None:
    arguments = parse_arguments()
    keep_all_freed_memory()
    precision = "bf16" if torch.cuda.is_available() else "no"
    accelerator = Accelerator(mixed_precision=precision, log_with="tensorboard", project_dir=RUNS)
    try:
        if arguments.probe:
            if accelerator.is_main_process:
                probe(arguments)
        elif arguments.data:
            name = arguments.evaluate or arguments.start_from
            known = load_checkpoint(name) if name else None
            arguments.members = arguments.members or default_members(arguments, known)
            with accelerator.main_process_first(), only_first_prints(accelerator):
                data = prepare(preparation(arguments))  # so that the other processes find complete archives
            accelerator.print(describe_data(data))
            if known and arguments.evaluate:
                evaluate_sources(known, data, arguments.split, arguments.predictions)
            else:
                train(accelerator, arguments, data, known)
        if arguments.push and accelerator.is_main_process:
            publish(arguments)
    except GenreError as error:
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped; downloads, archives and finished epochs are kept. --resume continues after the last epoch.")


def probe(arguments: argparse.Namespace) -> None:
    """Fit new heads to the features of a checkpoint, save them as a checkpoint, write its card."""
    (folder,) = arguments.data
    known = load_checkpoint(arguments.start_from)
    start = arguments.start_from
    print(f"Linear probe on {start}; --from {start} without --probe fine-tunes its networks, too.")
    fitted = fit_probe(embed_folder(folder, Classifier(known), dict(arguments.counts_as)), known)
    save_probe(arguments.out, known, fitted, folder.resolve().name, command_line())
    write_card(arguments.out)
    print(describe_probe(fitted))


def default_members(arguments: argparse.Namespace, known: Checkpoint | None) -> list[str]:
    """Members of the checkpoint, or those whose features the data has."""
    if known:
        return list(known.members)
    return ["sparse", "smooth", "whole"] if any(map(is_prepared, arguments.data)) else ["dense"]


@contextmanager
def only_first_prints(accelerator: Accelerator) -> Iterator[None]:
    """Discard the output of all processes but the first."""
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


def train(accelerator: Accelerator, arguments: argparse.Namespace, data: DataSet, known: Checkpoint | None) -> None:
    """Train the members, calibrate their fusion, save the checkpoint, evaluate it as it was saved, write its card."""
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
    checkpoint = load_checkpoint(arguments.out.resolve())
    splits = ("validation", "test") if arguments.test else ("validation",)
    figures = {split: evaluate_sources(checkpoint, data, split, runs_folder) for split in splits}
    record = training_record(command_line(), start, data, recipes)
    write_json(arguments.out / "metrics.json", {"training": record, **figures})
    write_card(arguments.out)


def command_line() -> str:
    """This command as it can be repeated, with absolute and outer paths, which are private, cut to their last part."""

    def public(argument: str) -> str:
        return Path(argument).name if Path(argument).is_absolute() or argument.startswith("..") else argument

    return "python train.py " + shlex.join(map(public, sys.argv[1:]))


def recipe_for(arguments: argparse.Namespace, name: str, start: Start) -> Recipe:
    """A member's recipe with the options of the command line, and with the network of the checkpoint, if any."""
    fields = ("backbone", "windows_per_track", "batch_size", "seed")
    changes = {field: value for field in fields if (value := getattr(arguments, field)) is not None}
    if arguments.shares:
        changes["share_power"] = None
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
    elif arguments.space and published.tag:
        print(push_space(arguments.push, arguments.space, published.tag, public=arguments.public))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_data_options(parser)
    _add_training_options(parser)
    _add_evaluation_options(parser)
    _add_publishing_options(parser)
    arguments = parser.parse_args()
    if arguments.backbone and arguments.start_from:
        parser.error("--from continues with the network of that checkpoint, so there is no --backbone to choose")
    _choose_probe(parser, arguments)
    if not arguments.data and not arguments.push:
        parser.error("give --data to train or to evaluate, or --push to publish")
    if arguments.shares and len(arguments.shares) != len(arguments.data):
        parser.error("give as many --shares as folders of --data")
    return arguments


def _choose_probe(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Set --probe for a folder of genre folders where no option says how to train; check what it is given with."""
    given = {name for name, value in vars(arguments).items() if value != parser.get_default(name)}
    if len(arguments.data) == 1 and given <= PROBE_OPTIONS - {"start_from"} and holds_genre_folders(arguments.data[0]):
        arguments.probe = True
    if not arguments.probe:
        return
    if len(arguments.data) != 1:
        parser.error("--probe needs one folder of --data")
    if others := sorted(given - PROBE_OPTIONS):
        parser.error(f"--probe has no use for --{others[0].replace('_', '-')}")
    arguments.start_from = arguments.start_from or DEFAULT


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, nargs="+", default=[], metavar="DIR", help="music or prepared arrays, see above")
    add("--shares", type=float, nargs="+", metavar="S", help="of each DIR in a batch (by its size and the recipe)")
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
    add("--archive", type=Path, metavar="DIR", help="of the log-mels of audio (runs/archives)")


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, default=Path("checkpoints/mine"), help="checkpoint folder to write")
    add(
        "--members",
        nargs="+",
        choices=list(RECIPES),
        help="networks to train and fuse (dense on audio, the other three where there are prepared arrays)",
    )
    backbones = ", ".join(f"{name} {recipe.backbone}" for name, recipe in RECIPES.items())
    add("--backbone", help=f"any timm image model ({backbones})")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--weights", type=Path, help="ImageNet weights from a file instead of the Hub")
    start.add_argument(
        "--from",
        dest="start_from",
        metavar="CHECKPOINT",
        help="fine-tune this checkpoint by the second stage of the recipe; with a new head for other genres",
    )
    start.add_argument("--from-scratch", action="store_true", help="random weights, without pre-training")
    for name, kind, meaning in (
        ("epochs", int, "in a single stage, in place of the recipe's stages"),
        ("learning-rate", float, "maximum of the cosine schedule, of the first stage or with --from of the second"),
        ("runs", int, "of that stage, whose weights are averaged"),
        ("windows-per-track", int, "random windows of each track in an epoch"),
        ("batch-size", int, "windows of a step, over all processes"),
        ("seed", int, "of everything random"),
    ):
        add(f"--{name}", type=kind, metavar="N", help=f"{meaning} (default: see genre/training/recipe.py)")
    add(
        "--probe",
        action="store_true",
        help="a linear probe: fit only new heads, on the features of --from (fma-small), to one folder of genre "
        "folders; the default there if no option says how to train",
    )
    add("--resume", action="store_true", help="continue after the last finished epoch")


def _add_evaluation_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--test", action="store_true", help="also read the test splits, for the finished checkpoint")
    add("--evaluate", metavar="CHECKPOINT", help="evaluate this checkpoint instead of training")
    add("--split", choices=("validation", "test"), default="validation", help="for --evaluate")
    add("--predictions", type=Path, metavar="DIR", help="for --evaluate: write each track's probabilities there")


def _add_publishing_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group(
        "publishing", "needs `hf auth login` or HF_TOKEN; without --data, the checkpoint in --out"
    ).add_argument
    add("--push", metavar="USER/REPO", help="upload the checkpoint as one commit with a tag")
    add("--tag", help="name of the revision (the next of v1, v2, v3 ...)")
    add("--space", metavar="USER/NAME", help="also run the page on it, in a Space pinned to that revision")
    add("--public", action="store_true", help="make what is created public (private)")
    add("--dry-run", action="store_true", help="only show what would be uploaded")


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
