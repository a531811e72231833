"""Train a model on music of your genres, evaluate it, publish it.

    python train.py --data GENRE_FOLDERS --out checkpoints/NAME       probe: fit new heads alone, in minutes
    python train.py --data DIR [DIR ...] --from fma-small --out checkpoints/NAME --test
                                                                      fine-tune the networks of a checkpoint
    python train.py --data DIR [DIR ...] --members sparse smooth whole --out checkpoints/NAME --test
                                                                      train networks from ImageNet weights
    python train.py --mode detector --data DIR [DIR ...] --not-music DIR --out checkpoints/NAME
                                                                      fit the music detector of a checkpoint
    python train.py --data DIR --evaluate checkpoints/NAME            evaluate a checkpoint again
    python train.py --out checkpoints/NAME --push USER/REPO           publish it on the Hugging Face Hub

DIR is one of
    a folder with a sub-folder of songs for each genre, in any audio format; folders train, val and test around these,
        or in each, are its official split
    fma_small, which is downloaded (15 GiB of disk), or a folder with fma_metadata/tracks.csv and
        fma_small/000/000002.mp3 ... of an earlier download; with its official split
    a folder of prepared log-mel arrays (.npy) with an index.csv, see genre/data/dataset.py
    hf:USER/DATASET[@REVISION][:CONFIG], a data set of songs on the Hugging Face Hub, see genre/data/hub.py
Each of multiple folders has a share of every batch. A folder without an official split is split by artist; no artist
is in two splits over all folders. Audio is decoded once, on all cores, to an archive of log-mels. Every choice (best
epoch, fusion weights, temperature) is made on the validation splits; the test splits are read only with --test, at the
end. The figures of a probe are by cross-validation.
"""

import argparse
import io
import math
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before torch is imported: its threads soon sleep while they wait for each other, since by default they spin.
os.environ.setdefault("GOMP_SPINCOUNT", "600")

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout

from genre.cli import in_home, number, path
from genre.data.dataset import SPLITS, DataSet, HeldOut
from genre.data.hub import is_on_hub
from genre.data.prepare import Preparation, holds_genre_folders, prepare, source_name
from genre.data.windows import TEACHER_FILES, front_end_name
from genre.errors import DataError, GenreError
from genre.files import clean_genre, move, numbered, read_json, write_json
from genre.hub.card import CONFUSION_PNG, CURVES_PNG, write_card, write_pictures
from genre.hub.publish import CARD, Published, check_names, push_checkpoint, push_space
from genre.inference.classify import Classifier
from genre.models.backbones import RANDOM, create_backbone
from genre.models.member import Member
from genre.models.model import DEFAULT, MEMBER_NAME, METRICS_FILE, MUSIC_FILE, GenreModel, keep_freed_memory
from genre.training.calibrate import calibrate
from genre.training.detector import fit_examples, gather
from genre.training.evaluate import evaluate_sources
from genre.training.loop import Start, train_member, with_shares
from genre.training.probe import describe_probe, embed_folder, fit_probe, probe_model
from genre.training.recipe import RECIPES, Recipe, Stage, read_recipes, recipes_json

RUNS = Path("runs")  # archives, and a folder for each training: recipes, states, TensorBoard's logs, predictions

# What is done, and which option chooses it where --mode does not.
MODES = {
    "probe": f"fit new heads on the features of --from ({DEFAULT}); the default for a single folder of genre folders",
    "fine-tune": f"train the networks of --from ({DEFAULT}) by the second stage of the recipe; the default with --from",
    "train": "train networks from ImageNet weights; the default with --members, --recipe, --backbone, --weights or "
    "--from-scratch, for other data, and for several folders",
    "detector": "fit the music detector of the checkpoint in --out to --data and --not-music",
    "evaluate": "print the figures of a checkpoint; the default with --evaluate",
    "publish": "upload the checkpoint in --out; the default with --push and no --data",
}


def main() -> None:
    options = parse_options()
    options.out = options.out.resolve()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # file names may hold characters that the terminal cannot encode
    keep_freed_memory(everything=True)
    try:
        accelerator = create_accelerator(options)
        if options.push:
            check_names(options.push, options.space, options.tag)
        if options.mode in ("train", "fine-tune"):
            check_writable(options.out)
            with only_training(RUNS / options.out.name) if accelerator.is_main_process else nullcontext():
                train(accelerator, options)
        elif accelerator.is_main_process and options.mode != "publish":
            {"probe": probe, "detector": detect, "evaluate": evaluate_again}[options.mode](options)
        if options.push and accelerator.is_main_process:
            publish(options)
    except (GenreError, OSError) as error:  # an OSError where a disk is full, for one
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        kept = "; downloads, archives and finished epochs are kept. --resume continues after the last epoch"
        print(f"Stopped{kept if options.mode in ('train', 'fine-tune') else ''}.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


# Settings


def create_accelerator(options: argparse.Namespace) -> Accelerator:
    """The devices, precision and tracker of this command; raises GenreError for those that there are not."""
    tracker = None if options.tracker == "none" else options.tracker
    if tracker and find_spec(tracker) is None:
        raise GenreError(f"--tracker {tracker} needs a package that is not installed: pip install {tracker}")
    on_gpu = torch.cuda.is_available()
    has_bf16 = on_gpu and torch.cuda.get_device_capability() >= (8, 0)  # earlier ones imitate it, and are slower by it
    precision = options.precision or (("bf16" if has_bf16 else "fp16") if on_gpu else "no")
    if precision == "fp16" and not on_gpu:
        raise GenreError("--precision fp16 needs a GPU; no and bf16 are for a CPU, too.")
    if precision == "bf16" and on_gpu and not has_bf16:
        raise GenreError("This GPU does not compute in bfloat16; it has fp16, which is its default --precision.")
    if options.compile and not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++", "cl"))):
        raise GenreError("--compile needs a C++ compiler, such as g++, which is not installed.")
    backend = "inductor" if options.compile else None
    return Accelerator(mixed_precision=precision, log_with=tracker, project_dir=RUNS, dynamo_backend=backend)


# Folders that are written


def check_writable(folder: Path) -> None:
    """Raise GenreError where a folder, which need not exist yet, cannot be written, rather than after a training."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise GenreError(f"--out {folder} cannot be written: {error.strerror}.") from error


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
        ours = {*member_folders(folder), MUSIC_FILE, METRICS_FILE, CONFUSION_PNG, CURVES_PNG, *names}
        before = [folder / name for name in ours if (folder / name).exists()]
        if before:
            aside = earlier_folder(folder)
            aside.mkdir()
            for path in before:
                path.replace(aside / path.name)
            print(f"The model that was in {folder} is now in {aside}.")
        for name in sorted(names, key="config.json".__eq__):  # it comes last: with it the checkpoint is complete
            move(new / name, folder / name)


def announce_earlier(folder: Path) -> None:
    """Before a training: print that the folder holds a model, and where that will be."""
    if (folder / "config.json").exists():
        print(f"{folder} holds a model; when the new one is complete, that is moved to {earlier_folder(folder)}.")


def earlier_folder(folder: Path) -> Path:
    """The next free name of a folder for the checkpoint that a new one replaces."""
    return next(path for path in numbered(folder.with_name(f"{folder.name}-earlier")) if not path.exists())


def member_folders(folder: Path) -> list[str]:
    """Folders of the members of the checkpoint in a folder; empty where there is none, or a damaged one."""
    try:
        names = [entry["folder"] for entry in read_json(folder / "config.json")["members"]]
        return [name for name in names if MEMBER_NAME.fullmatch(name)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


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


# Recipes


def choose_recipes(options: argparse.Namespace, checkpoint: GenreModel | None) -> dict[str, Recipe]:
    """The recipe of each member that is trained: of --recipe or the default, with the options of the command line.

    A member of a checkpoint keeps its network, and is trained by the second stage. With --epochs, training ends after
    its first stage.

    Raises:
        GenreError: there is no recipe for a member, or the checkpoint has no such member.
    """
    known = RECIPES | (read_recipes(options.recipe) if options.recipe else {})
    if options.members:
        names = options.members
    elif checkpoint:
        names = list(checkpoint.members)
    else:
        names = list(read_recipes(options.recipe)) if options.recipe else ["sparse", "smooth", "whole"]
    for name in names:
        if name not in known:
            raise GenreError(f"There is no recipe for a member {name}; there are {', '.join(known)}.")
        if checkpoint and name not in checkpoint.members:
            raise GenreError(f"{checkpoint.name} has no {name} member, only {', '.join(checkpoint.members)}.")

    def given(*fields: str) -> dict[str, Any]:
        return {field: value for field in fields if (value := getattr(options, field)) is not None}

    changes = given("backbone", "windows_per_track", "batch_size", "seed")
    if options.shares:
        changes["share_power"] = None
    of_stage = given("epochs", "learning_rate", "runs")
    recipes = {}
    for name, fraction in zip(names, (options.interpolate or [None]) * len(names), strict=False):
        recipe = replace(known[name], **changes)
        if fraction is not None:
            recipe = replace(recipe, interpolation=fraction)
        if checkpoint:
            member = checkpoint.members[name]
            network = member.backbone.pretrained_cfg["architecture"]
            fine_tuning = replace(recipe.fine_tuning, **of_stage)
            recipe = replace(recipe, backbone=network, input_size=member.input_size, fine_tuning=fine_tuning)
        else:
            recipe = replace(recipe, pretrained=replace(recipe.pretrained, **of_stage))
            if options.epochs:
                recipe = replace(recipe, fine_tuning=Stage(epochs=0), robust_fine_tuning=Stage(epochs=0))
        recipes[name] = recipe
    return recipes


def check_networks(recipes: dict[str, Recipe], start: Start) -> None:
    """Raise CheckpointError for a network or weights that there are not, rather than after decoding all songs."""
    for recipe in recipes.values():
        if not start.checkpoint:
            create_backbone(recipe.backbone, 2, start.weights or RANDOM, recipe.input_size)


# Data


def preparation(options: argparse.Namespace, front_ends: list[str]) -> Preparation:
    return Preparation(
        folders=options.data,
        archives=options.archive or RUNS / "archives",
        front_ends=front_ends,
        shares=options.shares,
        counts_as=dict(options.counts_as),
        held_out=held_out(options.validation_fraction, options.test_fraction),
        augmented_copies=options.augmented_copies if options.mode in ("train", "fine-tune") else 0,
        unlabelled=options.unlabelled,
        teacher=options.teacher,
        label=options.label,
        fma_metadata=options.fma_metadata,
    )


def held_out(validation: list[float], test: list[float]) -> list[HeldOut]:
    """The fractions for the sources, one for all of them or one each."""
    count = max(len(validation), len(test))
    pairs = zip(*(one if len(one) == count else one * count for one in (validation, test)), strict=True)
    return [HeldOut(*pair) for pair in pairs]


def front_ends(model: GenreModel) -> list[str]:
    """The front ends whose log-mels the members of a model read."""
    return [front_end_name(member.log_mel.config) for member in model.members.values()]


def describe_data(data: DataSet) -> str:
    """Lines with the genres, and each source's tracks by split and share."""
    lines = [f"{len(data.genres)} genres: {', '.join(data.genres)}"]
    for source, share in zip(data.sources, data.shares, strict=True):
        counts = ", ".join(f"{len(source.of(split))} {split}" for split in SPLITS)
        lines.append(f"  {source.name}: {counts}, {len(source.dropped)} unusable; share {share:.0%}")
    return "\n".join(lines)


def evaluated_splits(options: argparse.Namespace, data: DataSet) -> list[str]:
    """The splits whose figures are wanted; raises DataError for --test where there are no test tracks."""
    if not options.test:
        return ["validation"]
    if not any(len(source.of("test")) for source in data.sources):
        raise DataError("--test: the data has no test tracks.")
    return ["validation", "test"]


@contextmanager
def only_first_prints(accelerator: Accelerator) -> Iterator[None]:
    """Discard the output of all processes but the first."""
    if accelerator.is_main_process:
        yield
    else:
        with redirect_stdout(None), redirect_stderr(None):
            yield


# Training: data, members by their recipes, calibration of their fusion, evaluation of what was saved, card


def train(accelerator: Accelerator, options: argparse.Namespace) -> None:
    runs_folder = RUNS / options.out.name
    checkpoint = GenreModel.from_pretrained(options.start_from) if options.mode == "fine-tune" else None
    start = Start(checkpoint, options.weights, options.from_scratch)
    recipes = choose_recipes(options, checkpoint)
    check_networks(recipes, start)
    if accelerator.is_main_process:
        announce_earlier(options.out)
        write_json(runs_folder / "recipes.json", recipes_json(recipes))

    with accelerator.main_process_first(), only_first_prints(accelerator):  # the others find complete archives
        data = prepare(preparation(options, [recipe.front_end for recipe in recipes.values()]))
    accelerator.print(describe_data(data))
    if not any((source.folder / name).is_file() for source in data.sources for name in TEACHER_FILES):
        accelerator.print(
            "No source has outputs of a teacher, which the members that ship learned, too: --teacher FILE adds those "
            "of MusiCNN to audio; `python -m genre.data.musicnn FILE` makes the file."
        )
    splits = evaluated_splits(options, data)

    members: dict[str, Member] = {}
    curves: dict[str, list[dict]] = {}
    for name, recipe in recipes.items():
        members[name], of_runs = train_member(
            accelerator, name, recipe, data, start, runs_folder, options.resume, options.workers
        )
        curves |= of_runs
    accelerator.end_training()
    if not accelerator.is_main_process:
        return

    with written_at_end(options.out) as new:
        model = GenreModel(data.genres, members).to(accelerator.device)
        calibrate(model, data.weighted(options.validation_shares))
        model.save_pretrained(new)
        model = GenreModel.from_pretrained(new).to(accelerator.device)  # with the weights as they are stored
        if options.not_music:
            fit_detector(model, data, options.not_music)
            model.save_pretrained(new)
        figures = {split: evaluate_sources(model, data, split, runs_folder) for split in splits}
        record = training_record(command_line(), start, data, recipes)
        write_json(new / "metrics.json", {"training": record, **figures})
        write_pictures(new, curves)
        for picture in new.glob("*.png"):
            shutil.copy(picture, runs_folder)
        write_card(new)


def command_line() -> str:
    """This command as it can be repeated, with absolute and outer paths, which are private, cut to their last part."""

    def public(argument: str) -> str:
        option, equals, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
        return option + equals + (Path(value).name if Path(value).is_absolute() or value.startswith("..") else value)

    return "python train.py " + shlex.join(map(public, sys.argv[1:]))


def training_record(command: str, start: Start, data: DataSet, recipes: dict[str, Recipe]) -> dict:
    """The entry `training` of metrics.json, see `genre.models.model`.

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
        "shared_artists": len(data.shared_artists),
        "members": recipes_json(recipes),
        "batch_shares": {
            name: [round(share, 4) for share in with_shares(data, recipe).shares] for name, recipe in recipes.items()
        },
    }


# The other modes


def probe(options: argparse.Namespace) -> None:
    """Fit new heads to the features of a checkpoint, save them as a checkpoint, write its card."""
    (folder,) = options.data
    check_writable(options.out)
    announce_earlier(options.out)
    base = GenreModel.from_pretrained(options.start_from)
    classifier = Classifier(GenreModel.from_pretrained(options.start_from, for_inference=True))
    print(f"Linear probe on {options.start_from}; --mode fine-tune trains its networks, too.")
    of_hub = {"label": options.label, "fma_metadata": options.fma_metadata}
    fitted = fit_probe(embed_folder(folder, classifier, dict(options.counts_as), **of_hub), base)
    with written_at_end(options.out) as new:
        probe_model(base, fitted, source_name(folder), command_line()).save_pretrained(new)
        write_pictures(new)
        write_card(new)
    print(describe_probe(fitted))


def detect(options: argparse.Namespace) -> None:
    """Fit the music detector of the checkpoint in --out, in place of the one that it has."""
    model = GenreModel.from_pretrained(options.out)
    data = prepare(preparation(options, front_ends(model)))
    print(describe_data(data))
    fit_detector(model, data, options.not_music)
    model.save_pretrained(options.out)


def fit_detector(model: GenreModel, data: DataSet, not_music: Path) -> None:
    """Fit a model's music detector; prints how many validation tracks it rejects."""
    name = model.window_members[0]  # one with short windows
    examples = gather(model.members[name], name, data, not_music)
    model.detector = detector = fit_examples(examples)
    print(f"The music detector says music from a probability of {detector.threshold:.4f} on.")
    for source, tracks in examples.validation.items():
        rejected = sum(not detector.is_music(detector(track)) for track in tracks)
        print(f"  {source}: {rejected} of {len(tracks)} validation tracks are not music to it")


def evaluate_again(options: argparse.Namespace) -> None:
    """Print the figures of a checkpoint."""
    model = GenreModel.from_pretrained(options.evaluate)
    training = model.metrics.get("training", {})
    if "probe" in training:
        print(
            f"{model.name} is a linear probe, fitted to all songs of {', '.join(training['sources'])}: figures on "
            "these are too high, but for songs in a folder for test. Those by cross-validation are in its card."
        )
    data = prepare(preparation(options, front_ends(model)))
    print(describe_data(data))
    for split in evaluated_splits(options, data):
        evaluate_sources(model, data, split, options.predictions)


def publish(options: argparse.Namespace) -> None:
    """Upload the checkpoint in --out and, with --space, the page; or print what would be uploaded."""
    visibility = "public" if options.public else "private"
    settings = {name: getattr(options, name) for name in ("public", "replace_card", "dry_run")}
    published = push_checkpoint(options.out, options.push, tag=options.tag, **settings)
    show_upload(published, visibility)
    if options.space:
        show_upload(push_space(options.push, options.space, published.tag, **settings), visibility)
        if not options.public:
            print(f"Where {options.push} is private, the Space needs a secret HF_TOKEN that may read it (Settings).")
    if options.dry_run:
        print("Nothing was uploaded: this was a dry run.")


def show_upload(published: Published, visibility: str) -> None:
    print(f"{published.url}, {visibility} if new:")
    for name, size in published.files.items():
        print(f"  {size:>12,} bytes  {name}")
    if CARD not in published.files:
        print(f"  {CARD} was edited there and stays as it is, whatever model it describes; --replace-card replaces it.")


# Options: which modes have them, and their defaults

OF_START = {"members", "recipe", "backbone", "weights", "from_scratch"}  # which networks are trained, from where
OF_PUBLISHING = {"out", "push", "tag", "space", "public", "replace_card", "dry_run"}
OF_DATA = {"data", "counts_as", "label", "fma_metadata", "validation_fraction", "test_fraction", "archive"}
OF_TRAINING = OF_DATA | OF_PUBLISHING | {
    *("shares", "validation_shares", "augmented_copies", "unlabelled", "teacher", "not_music"),
    *("members", "recipe", "epochs", "learning_rate", "runs", "windows_per_track", "batch_size", "seed"),
    *("precision", "compile", "workers", "tracker", "resume", "test"),
}  # fmt: skip
OPTIONS = {
    "probe": OF_PUBLISHING | {"data", "counts_as", "label", "fma_metadata", "start_from"},
    "fine-tune": OF_TRAINING | {"start_from", "interpolate"},
    "train": OF_TRAINING | OF_START,
    "detector": OF_DATA | OF_PUBLISHING | {"not_music"},
    "evaluate": OF_DATA | {"evaluate", "test", "predictions"},
    "publish": OF_PUBLISHING,
}
DEFAULTS = {
    "data": [],
    "counts_as": [],
    "out": Path("checkpoints/mine"),
    "validation_fraction": [0.1],
    "test_fraction": [0.1],
    "unlabelled": [],
    "augmented_copies": 4,
    "tracker": "tensorboard",
}


def parse_options() -> argparse.Namespace:
    """Parse the command line and choose the mode; ends the program where options do not go together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = "; ".join(f"{name}: {meaning}" for name, meaning in MODES.items())
    parser.add_argument("--mode", choices=list(MODES), help=f"what is done. {what}")
    add_data_options(parser.add_argument_group("data"))
    add_training_options(parser.add_argument_group("training"))
    add_evaluation_options(parser.add_argument_group("evaluation"))
    add_publishing_options(parser.add_argument_group("publishing", "needs `hf auth login` or HF_TOKEN"))
    options = parser.parse_args()
    given = {name for name, value in vars(options).items() if value is not None and value is not False} - {"mode"}
    for name in DEFAULTS.keys() - given:
        setattr(options, name, DEFAULTS[name])

    chosen = options.mode
    options.mode = chosen or default_mode(options, given)
    if not options.mode:
        parser.error("give --data to train or to evaluate, or --push to publish")
    if unfit := given - OPTIONS[options.mode]:
        option = f"--{min(unfit).replace('start_from', 'from').replace('_', '-')}"
        if options.mode == "probe" and not chosen:
            parser.error(
                f"{option} has no use here, where a folder of genre folders is learned by a linear probe; name what "
                f"is trained: --from {DEFAULT} fine-tunes its networks, --members sparse smooth whole trains from "
                "ImageNet weights"
            )
        parser.error(f"--mode {options.mode} has no use for {option}")
    needed = {"publish": "push", "evaluate": "evaluate", "detector": "not_music"}.get(options.mode, "data")
    for name in (needed, "data") if options.mode != "publish" else (needed,):
        if name not in given:
            parser.error(f"--mode {options.mode} needs --{name.replace('_', '-')}")
    if options.mode == "probe" and len(options.data) != 1:
        parser.error("--mode probe needs one folder of --data")
    if given & OF_PUBLISHING - {"out"} and not options.push:
        parser.error(f"without --push there is no use for --{min(given & OF_PUBLISHING - {'out'}).replace('_', '-')}")
    if sum(name in given for name in ("weights", "from_scratch")) > 1:
        parser.error("--weights and --from-scratch are two ways to begin; give one")
    if given & {"label", "fma_metadata"} and not any(map(is_on_hub, [*options.data, *options.unlabelled])):
        unfit = given & {"label", "fma_metadata"}
        parser.error(f"without hf:USER/DATASET there is no use for --{min(unfit).replace('_', '-')}")
    if options.shares and len(options.shares) != len(options.data) + len(options.unlabelled):
        parser.error("give as many --shares as folders of --data, and of --unlabelled after these")
    if options.validation_shares and len(options.validation_shares) != len(options.data):
        parser.error("give as many --validation-shares as folders of --data")
    if options.interpolate and len(options.interpolate) not in (1, len(options.members or ())):
        parser.error("give one --interpolate, or as many as --members")
    for split in ("validation", "test"):
        if len(getattr(options, f"{split}_fraction")) not in (1, len(options.data)):
            parser.error(f"give one --{split}-fraction, or as many as folders of --data")
    options.start_from = options.start_from or DEFAULT
    return options


def default_mode(options: argparse.Namespace, given: set[str]) -> str:
    """What the options say is to be done; empty where they say nothing."""
    if "evaluate" in given:
        return "evaluate"
    if "data" not in given:
        return "publish" if "push" in given else ""
    if "start_from" in given:
        return "fine-tune"
    if given & OF_START or len(options.data) > 1 or not holds_genre_folders(options.data[0]):
        return "train"
    return "probe"


def add_data_options(group: argparse._ArgumentGroup) -> None:
    share = number(float, "a number above 0", lambda value: 0 < value < math.inf)
    fraction = number(float, "a number above 0 and below 0.5", lambda value: 0 < value < 0.5)
    copies = number(int, "a whole number from 0", lambda value: value >= 0)
    many: dict[str, Any] = {"nargs": "+", "action": "extend"}
    add = group.add_argument
    add("--data", type=path, metavar="DIR", help="music or prepared arrays, see above", **many)
    add("--label", metavar="COLUMN", help="column of the genres in data sets of the Hub (the one that is named so)")
    titles = "FMA's tracks.csv, by whose titles and artists songs of the Hub get FMA's official split"
    add("--fma-metadata", type=path, metavar="FILE", help=titles)
    add("--counts-as", type=renaming, metavar="A=B", help="genres that count as others: Classical=Instrumental", **many)
    add("--shares", type=share, metavar="S", help="share of each DIR in a batch (by its size and the recipe)", **many)
    of_fusion = "share of each DIR in the fusion and calibration (as in a batch)"
    add("--validation-shares", type=share, metavar="S", help=of_fusion, **many)
    for split in ("validation", "test"):
        held_out = f"fraction of each genre for {split}, by whole artists: one for all DIR, or one for each (0.1)"
        add(f"--{split}-fraction", type=fraction, metavar="F", help=held_out, **many)
    add("--augmented-copies", type=copies, metavar="N", help="number of them for each training clip of audio (4)")
    taught = "songs without a genre, which only a teacher teaches"
    add("--unlabelled", type=path, metavar="DIR", help=taught, **many)
    teacher = "weights of MusiCNN, whose output for audio is learned, too; `python -m genre.data.musicnn` makes them"
    add("--teacher", type=path, metavar="FILE", help=teacher)
    add("--archive", type=path, metavar="DIR", help="folder for the log-mels of audio (runs/archives)")
    add("--not-music", type=path, metavar="DIR", help="recordings without music, to which a music detector is fitted")


def add_training_options(group: argparse._ArgumentGroup) -> None:
    part = number(float, "a number from 0 to 1", lambda value: 0 <= value <= 1)
    count = number(int, "a whole number from 1", lambda value: value >= 1)
    rate = number(float, "a number above 0", lambda value: 0 < value < math.inf)
    whole = number(int, "a whole number from 0", lambda value: value >= 0)
    add = group.add_argument
    add("--out", type=path, help=f"checkpoint folder to write ({DEFAULTS['out']})")
    further = "the checkpoint to start from; other genres get a new head"
    add("--from", dest="start_from", type=in_home, metavar="CHECKPOINT", help=further)
    add("--weights", type=path, metavar="FILE", help="ImageNet weights from a file instead of the Hub")
    add("--from-scratch", action="store_true", help="random weights, without pre-training")
    members = "networks to train and fuse (sparse smooth whole; those of the recipes; those of --from)"
    add("--members", nargs="+", metavar="NAME", help=members)
    recipe = "recipes of members as JSON: a runs/NAME/recipes.json, or the metrics.json of a checkpoint"
    add("--recipe", type=path, metavar="FILE", help=f"{recipe} (genre/training/recipe.py)")
    backbones = ", ".join(f"{name} {recipe.backbone}" for name, recipe in RECIPES.items())
    add("--backbone", metavar="NAME", help=f"any timm image model ({backbones})")
    fraction = (
        "fraction of the fine-tuned weights in the interpolation with those of --from, of all members or each; 0 "
    )
    fraction += "leaves a member as it is (by validation)"
    add("--interpolate", type=part, nargs="+", action="extend", metavar="F", help=fraction)
    add("--epochs", type=count, metavar="N", help="epochs of a single stage, in place of the recipe's stages")
    add("--learning-rate", type=rate, metavar="R", help="maximum of the cosine schedule in that stage, or in the first")
    add("--runs", type=count, metavar="N", help="number of runs of that stage, whose weights are averaged")
    add("--windows-per-track", type=count, metavar="N", help="random windows of each track in an epoch")
    add("--batch-size", type=count, metavar="N", help="windows of a step, over all processes")
    add("--seed", type=whole, metavar="N", help="seed of everything that is random")
    precision = "number format of a step, no for float32 (on a GPU bf16, or fp16 where it has no bf16; on a CPU no)"
    add("--precision", choices=("no", "bf16", "fp16"), help=precision)
    add("--compile", action="store_true", help="compile the networks: slow at first, then faster")
    add("--workers", type=whole, metavar="N", help="processes that read windows (4 at most for a GPU, 0 for a CPU)")
    trackers = ("tensorboard", "wandb", "trackio", "none")
    add("--tracker", choices=trackers, help="where loss, learning rate and validation are written (tensorboard)")
    add("--resume", action="store_true", help="continue after the last finished epoch")


def add_evaluation_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--test", action="store_true", help="also read the test splits, for the finished checkpoint")
    add("--evaluate", type=in_home, metavar="CHECKPOINT", help="evaluate this checkpoint instead of training")
    add("--predictions", type=path, metavar="DIR", help="for --evaluate: write each track's probabilities there")


def add_publishing_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--push", metavar="USER/REPO", help="upload the checkpoint as one commit with a tag")
    add("--tag", help="name of the revision (the next of v1, v2, v3 ...)")
    add("--space", metavar="USER/NAME", help="also run the page on it, in a Space pinned to that revision")
    add("--public", action="store_true", help="make what is created public (private)")
    add("--replace-card", action="store_true", help="also replace a README.md that was edited on the Hub")
    add("--dry-run", action="store_true", help="only show what would be uploaded")


def renaming(text: str) -> tuple[str, str]:
    left, equals, right = text.rpartition("=")  # the name of a folder may hold a "="
    if not (left and equals):
        raise argparse.ArgumentTypeError("give it as GENRE=OTHER")
    try:
        return clean_genre(left), clean_genre(right)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
