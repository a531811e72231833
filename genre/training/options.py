"""The options of train.py, and which of them go together."""

import argparse
import math
from pathlib import Path

from genre.data.hub import is_on_hub
from genre.data.prepare import holds_genre_folders
from genre.errors import DataError
from genre.files import clean_genre
from genre.models.locations import DEFAULT
from genre.options import in_home, number, path
from genre.training.recipe import RECIPES

TRAINING = {
    *("members", "backbone", "weights", "start_from", "from_scratch", "epochs", "learning_rate", "runs"),
    *("windows_per_track", "batch_size", "seed", "resume", "probe", "test", "unlabelled", "teacher", "precision"),
    *("interpolate", "validation_shares"),
}
SPLITTING = {"shares", "validation_fraction", "test_fraction", "augmented_copies"}
PUBLISHING = {"tag", "space", "public", "replace_card", "dry_run"}
OF_EVALUATION = {"split", "predictions"}
DEFAULTS = {
    "data": [],
    "counts_as": [],
    "out": Path("checkpoints/mine"),
    "validation_fraction": [0.1],
    "test_fraction": [0.1],
    "unlabelled": [],
    "augmented_copies": 4,
    "split": "validation",
}
# With one of these, a folder of genre folders is not learned by a linear probe.
HOW_TO_TRAIN = (TRAINING | SPLITTING | {"evaluate"}) - {"seed", "resume", "test", "probe", "precision"}
# What a probe has no use for: it has neither epochs nor a test split, and stores no log-mels.
NOT_OF_PROBE = (HOW_TO_TRAIN - {"start_from"}) | {"seed", "resume", "test", "archive", "precision"}


def parse_arguments(description: str) -> argparse.Namespace:
    """Parse the command line of train.py; ends the program where options do not go together."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_data_options(parser)
    _add_training_options(parser)
    _add_evaluation_options(parser)
    _add_publishing_options(parser)
    arguments = parser.parse_args()
    given = {name for name, value in vars(arguments).items() if value is not None and value is not False}
    for name in DEFAULTS.keys() - given:
        setattr(arguments, name, DEFAULTS[name])
    if not arguments.data and not arguments.push:
        parser.error("give --data to train or to evaluate, or --push to publish")
    if not arguments.data:
        _refuse(parser, given - PUBLISHING - {"push", "out"}, "without --data, train.py")
    if arguments.backbone and arguments.start_from:
        parser.error("--from continues with the network of that checkpoint, so there is no --backbone to choose")
    if arguments.shares and len(arguments.shares) != len(arguments.data) + len(arguments.unlabelled):
        parser.error("give as many --shares as folders of --data, and of --unlabelled after these")
    for split in ("validation", "test"):
        if len(getattr(arguments, f"{split}_fraction")) not in (1, len(arguments.data)):
            parser.error(f"give one --{split}-fraction, or as many as folders of --data")
    if arguments.validation_shares and len(arguments.validation_shares) != len(arguments.data):
        parser.error("give as many --validation-shares as folders of --data")
    if arguments.interpolate and not arguments.start_from:
        parser.error("--interpolate needs the weights of --from")
    if arguments.interpolate and len(arguments.interpolate) not in (1, len(arguments.members or ())):
        parser.error("give one --interpolate, or as many as --members")
    if arguments.evaluate:
        _refuse(parser, given & (TRAINING | {"out", "push"}), "--evaluate neither trains nor publishes: it")
    else:
        _refuse(parser, given & OF_EVALUATION, "without --evaluate, train.py")
    if not arguments.push:
        _refuse(parser, given & PUBLISHING, "without --push, train.py")
    if not any(map(is_on_hub, [*arguments.data, *arguments.unlabelled])):
        _refuse(parser, given & {"label", "fma_metadata"}, "without hf:USER/DATASET, train.py")
    _choose_probe(parser, arguments, given)
    return arguments


def _refuse(parser: argparse.ArgumentParser, names: set[str], who: str) -> None:
    """End the program where one of these options is given."""
    if names:
        name = min(names).replace("start_from", "from").replace("_", "-")
        parser.error(f"{who} has no use for --{name}")


def _choose_probe(parser: argparse.ArgumentParser, arguments: argparse.Namespace, given: set[str]) -> None:
    """Set --probe for a folder of genre folders where no option says how to train; check what it is given with."""
    if len(arguments.data) == 1 and not given & HOW_TO_TRAIN and holds_genre_folders(arguments.data[0]):
        arguments.probe = True
    if not arguments.probe:
        return
    if len(arguments.data) != 1:
        parser.error("--probe needs one folder of --data")
    who = "--probe" if "probe" in given else "a linear probe, the default for genre folders (see --members and --from),"
    _refuse(parser, given & NOT_OF_PROBE, who)
    arguments.start_from = arguments.start_from or DEFAULT


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=path, nargs="+", action="extend", metavar="DIR", help="music or prepared arrays, see above")
    add("--label", metavar="COLUMN", help="of the genres in data sets of the Hub (the one that is named so)")
    add(
        "--fma-metadata",
        type=path,
        metavar="FILE",
        help="FMA's tracks.csv, by whose titles and artists songs of the Hub get FMA's official split",
    )
    share = number(float, "a number above 0", lambda value: 0 < value < math.inf)
    add(
        "--shares",
        type=share,
        nargs="+",
        action="extend",
        metavar="S",
        help="of each DIR in a batch (by its size and the recipe)",
    )
    add(
        "--validation-shares",
        type=share,
        nargs="+",
        action="extend",
        metavar="S",
        help="of each DIR in the fusion, calibration and limits (as in a batch)",
    )
    add(
        "--counts-as",
        nargs="+",
        action="extend",
        type=_pair,
        metavar="A=B",
        help="genres that count as others, such as Classical=Instrumental",
    )
    fraction = number(float, "a number above 0 and below 0.5", lambda value: 0 < value < 0.5)
    for split in ("validation", "test"):
        held_out = "of each genre held out, by whole artists: of all DIR, or of each (0.1)"
        add(f"--{split}-fraction", type=fraction, nargs="+", action="extend", metavar="F", help=held_out)
    copies = number(int, "a whole number from 0", lambda value: value >= 0)
    add("--augmented-copies", type=copies, metavar="N", help="of each training clip of audio (4)")
    add(
        "--unlabelled",
        type=path,
        nargs="+",
        action="extend",
        metavar="DIR",
        help="songs without a genre, which only a teacher teaches",
    )
    add(
        "--teacher",
        type=path,
        metavar="FILE",
        help="weights of MusiCNN, whose output for audio is learned, too; `python -m genre.data.musicnn` makes them",
    )
    add("--archive", type=path, metavar="DIR", help="of the log-mels of audio (runs/archives)")


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=path, help=f"checkpoint folder to write ({DEFAULTS['out']})")
    add(
        "--members",
        nargs="+",
        choices=list(RECIPES),
        help="networks to train and fuse (sparse, smooth and whole; with --from those of the checkpoint)",
    )
    backbones = ", ".join(f"{name} {recipe.backbone}" for name, recipe in RECIPES.items())
    add("--backbone", help=f"any timm image model ({backbones})")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--weights", type=path, help="ImageNet weights from a file instead of the Hub")
    start.add_argument(
        "--from",
        dest="start_from",
        type=in_home,
        metavar="CHECKPOINT",
        help="fine-tune this checkpoint by the second stage of the recipe; with a new head for other genres",
    )
    part = number(float, "a number from 0 to 1", lambda value: 0 <= value <= 1)
    add(
        "--interpolate",
        type=part,
        nargs="+",
        action="extend",
        metavar="F",
        help="fraction of the fine-tuned weights in the interpolation with those of --from, of all members or of each; "
        "0 leaves a member as it is (by validation)",
    )
    start.add_argument("--from-scratch", action="store_true", help="random weights, without pre-training")
    count = number(int, "a whole number from 1", lambda value: value >= 1)
    rate = number(float, "a number above 0", lambda value: 0 < value < math.inf)
    seed = number(int, "a whole number from 0", lambda value: value >= 0)
    for name, kind, meaning in (
        ("epochs", count, "in a single stage, in place of the recipe's stages"),
        ("learning-rate", rate, "maximum of the cosine schedule, of the first stage or with --from of the second"),
        ("runs", count, "of that stage, whose weights are averaged"),
        ("windows-per-track", count, "random windows of each track in an epoch"),
        ("batch-size", count, "windows of a step, over all processes"),
        ("seed", seed, "of everything random"),
    ):
        add(f"--{name}", type=kind, metavar="N", help=f"{meaning} (default: see genre/training/recipe.py)")
    add(
        "--probe",
        action="store_true",
        help="a linear probe: fit only new heads, on the features of --from (fma-small), to one folder of genre "
        "folders; the default there if no option says how to train",
    )
    add(
        "--precision",
        choices=("no", "bf16", "fp16"),
        help="mixed precision of a step, no for float32 alone (bf16 on a GPU that has it, fp16 on others, no on a CPU)",
    )
    add("--resume", action="store_true", help="continue after the last finished epoch")


def _add_evaluation_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--test", action="store_true", help="also read the test splits, for the finished checkpoint")
    add("--evaluate", type=in_home, metavar="CHECKPOINT", help="evaluate this checkpoint instead of training")
    add("--split", choices=("validation", "test"), help="for --evaluate (validation)")
    add("--predictions", type=path, metavar="DIR", help="for --evaluate: write each track's probabilities there")


def _add_publishing_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group(
        "publishing", "needs `hf auth login` or HF_TOKEN; without --data, the checkpoint in --out"
    ).add_argument
    add("--push", metavar="USER/REPO", help="upload the checkpoint as one commit with a tag")
    add("--tag", help="name of the revision (the next of v1, v2, v3 ...)")
    add("--space", metavar="USER/NAME", help="also run the page on it, in a Space pinned to that revision")
    add("--public", action="store_true", help="make what is created public (private)")
    add("--replace-card", action="store_true", help="also replace a README.md that was edited on the Hub")
    add("--dry-run", action="store_true", help="only show what would be uploaded")


def _pair(text: str) -> tuple[str, str]:
    left, equals, right = text.rpartition("=")  # the name of a folder may hold a "="
    if not (left and equals):
        raise argparse.ArgumentTypeError("give it as GENRE=OTHER")
    try:
        return clean_genre(left), clean_genre(right)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
