"""Fine-tune ImageNet-pretrained networks on 3-second log-mel windows, and evaluate the checkpoint.

    python train.py --data GENRE_FOLDERS --out checkpoints/NAME           fit new heads alone in minutes: a linear probe
    python train.py --data DIR [DIR ...] --members NAME ... --out checkpoints/NAME --test
                                                                          train, fuse, calibrate, evaluate, save
    python train.py --data DIR --evaluate checkpoints/NAME                evaluate a checkpoint again
    python train.py --out checkpoints/NAME --push USER/REPO               publish it on the Hugging Face Hub

DIR is one of
    a folder with a sub-folder of songs for each genre, in any audio format; folders train, val and test around these,
        or in each, are its official split
    fma_small, which is downloaded (15 GB of disk), or a folder with fma_metadata/tracks.csv and
        fma_small/000/000002.mp3 ... of an earlier download; with its official split
    a folder of prepared log-mel arrays (.npy) with an index.csv, see genre/data/dataset.py
    hf:USER/DATASET[@REVISION][:CONFIG], a data set of songs on the Hugging Face Hub, see genre/data/hub.py
Each of multiple folders has a share of every batch. A folder without an official split is split by artist; no artist
is in two splits over all folders. Audio is decoded once, on all cores, to an archive of log-mels. Every choice (best
epoch, fusion weights, temperature) is made on the validation splits; the test splits are read only with --test, at the
end. A single folder of genre folders, with no option on how to train, is learned by a linear probe (--probe), whose
figures are by cross-validation; --from fma-small fine-tunes instead, --members sparse smooth whole starts from ImageNet
weights.
"""

import argparse
import io
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from genre.data.dataset import HeldOut
from genre.data.prepare import Preparation, prepare, source_name
from genre.data.windows import front_end_name
from genre.errors import DataError, GenreError
from genre.files import write_json
from genre.hub.card import write_card
from genre.hub.publish import CARD, Published, check_names, push_checkpoint, push_space
from genre.inference.classify import Classifier
from genre.malloc import keep_all_freed_memory
from genre.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre.models.member import RANDOM, create_backbone
from genre.training.calibrate import calibrate
from genre.training.members import Start, change_stage, recipe_from, train_member
from genre.training.options import parse_arguments
from genre.training.probe import fit_probe
from genre.training.probe_run import describe_probe, embed_folder, save_probe
from genre.training.recipe import RECIPES, Recipe
from genre.training.run import (
    announce_earlier,
    describe_data,
    evaluate_sources,
    only_training,
    training_record,
    written_at_end,
)

RUNS = Path("runs")  # archives, predictions, states of training, TensorBoard's logs


def main() -> None:
    arguments = parse_arguments(__doc__)
    arguments.out = arguments.out.resolve()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # file names may hold characters that the terminal cannot encode
    keep_all_freed_memory()
    try:
        precision = arguments.precision or default_precision()
        accelerator = Accelerator(mixed_precision=precision, log_with="tensorboard", project_dir=RUNS)
        if arguments.push:
            check_names(arguments.push, arguments.space, arguments.tag)
        if arguments.data and not arguments.evaluate:
            check_writable(arguments.out)
            if accelerator.is_main_process:
                announce_earlier(arguments.out)
        if arguments.probe:
            if accelerator.is_main_process:
                probe(arguments)
        elif arguments.evaluate:
            if accelerator.is_main_process:
                evaluate_again(arguments)
        elif arguments.data:
            with only_training(RUNS / arguments.out.name) if accelerator.is_main_process else nullcontext():
                train(accelerator, arguments)
        if arguments.push and accelerator.is_main_process:
            publish(arguments)
    except (GenreError, OSError) as error:  # an OSError where a disk is full, for one
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        kept = "; downloads, archives and finished epochs are kept. --resume continues after the last epoch"
        print(f"Stopped{'' if arguments.probe else kept}.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def default_precision() -> str:
    """Mixed precision where the GPU is faster by it: bfloat16 from compute capability 8.0 on, else float16."""
    if not torch.cuda.is_available():
        return "no"
    return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"


def check_writable(folder: Path) -> None:
    """Raise GenreError where a folder, which need not exist yet, cannot be written, rather than after a training."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise GenreError(f"--out {folder} cannot be written: {error.strerror}.") from error


def probe(arguments: argparse.Namespace) -> None:
    """Fit new heads to the features of a checkpoint, save them as a checkpoint, write its card."""
    (folder,) = arguments.data
    known = load_checkpoint(arguments.start_from)
    start = arguments.start_from
    print(f"Linear probe on {start}; --from {start} without --probe fine-tunes its networks, too.")
    choices = {"label": arguments.label, "fma_metadata": arguments.fma_metadata}
    fitted = fit_probe(embed_folder(folder, Classifier(known), dict(arguments.counts_as), **choices), known)
    with written_at_end(arguments.out) as new:
        save_probe(new, known, fitted, source_name(folder), command_line())
        write_card(new)
    print(describe_probe(fitted))


def default_members(known: Checkpoint | None) -> list[str]:
    """Members of the checkpoint to start from, or those of the one that ships."""
    if known:
        if unknown := [name for name in known.members if name not in RECIPES]:
            raise GenreError(f"There is no recipe for the member {unknown[0]} of {known.name}; choose by --members.")
        return list(known.members)
    return ["sparse", "smooth", "whole"]


@contextmanager
def only_first_prints(accelerator: Accelerator) -> Iterator[None]:
    """Discard the output of all processes but the first."""
    if accelerator.is_main_process:
        yield
    else:
        with redirect_stdout(None), redirect_stderr(None):
            yield


def preparation(arguments: argparse.Namespace, front_ends: list[str]) -> Preparation:
    return Preparation(
        folders=arguments.data,
        archives=arguments.archive or RUNS / "archives",
        front_ends=front_ends,
        shares=arguments.shares,
        counts_as=dict(arguments.counts_as),
        held_out=held_out(arguments),
        augmented_copies=0 if arguments.evaluate else arguments.augmented_copies,
        unlabelled=arguments.unlabelled,
        teacher=arguments.teacher,
        label=arguments.label,
        fma_metadata=arguments.fma_metadata,
    )


def held_out(arguments: argparse.Namespace) -> list[HeldOut]:
    """Held-out fractions, one for all sources or one for each."""
    validation, test = arguments.validation_fraction, arguments.test_fraction
    number = max(len(validation), len(test))
    pairs = zip(*(one if len(one) == number else one * number for one in (validation, test)), strict=True)
    return [HeldOut(*pair) for pair in pairs]


def check_networks(recipes: dict[str, Recipe], start: Start) -> None:
    """Raise CheckpointError for a network or weights that there are not, rather than after decoding all songs."""
    for recipe in recipes.values():
        if not start.checkpoint:
            create_backbone(recipe.backbone, 2, start.weights or RANDOM, recipe.input_size)


def evaluate_again(arguments: argparse.Namespace) -> None:
    """Print the figures of a checkpoint."""
    known = load_checkpoint(arguments.evaluate)
    training = known.metrics.get("training", {})
    if "probe" in training:
        print(
            f"{known.name} is a linear probe, fitted to all songs of {', '.join(training['sources'])}: figures on "
            "these are too high, but for songs in a folder for test. Those by cross-validation are in its card."
        )
    data = prepare(preparation(arguments, [front_end_name(one.log_mel.config) for one in known.members.values()]))
    print(describe_data(data))
    evaluate_sources(known, data, arguments.split, arguments.predictions)


def train(accelerator: Accelerator, arguments: argparse.Namespace) -> None:
    """Train the members, calibrate their fusion, save the checkpoint, evaluate it as it was saved, write its card."""
    known = load_checkpoint(arguments.start_from) if arguments.start_from else None
    names = arguments.members or default_members(known)
    fractions = dict(zip(names, (arguments.interpolate or []) * len(names), strict=False))
    start = Start(known, arguments.weights, arguments.from_scratch, fractions)
    recipes = {name: recipe_for(arguments, name, start) for name in names}
    check_networks(recipes, start)
    with accelerator.main_process_first(), only_first_prints(accelerator):  # the others find complete archives
        data = prepare(preparation(arguments, [recipe.front_end for recipe in recipes.values()]))
    accelerator.print(describe_data(data))
    splits = ("validation", "test") if arguments.test else ("validation",)
    if not any(len(source.of(splits[-1])) for source in data.sources):
        raise DataError("--test: the data has no test tracks.")
    runs_folder = RUNS / arguments.out.name
    members = {
        name: train_member(accelerator, name, recipe, data, start, runs_folder, arguments.resume)
        for name, recipe in recipes.items()
    }
    accelerator.end_training()
    if not accelerator.is_main_process:
        return
    with written_at_end(arguments.out) as new:
        save_checkpoint(new, data.genres, members, *calibrate(members, data.weighted(arguments.validation_shares)))
        checkpoint = load_checkpoint(new)
        figures = {split: evaluate_sources(checkpoint, data, split, runs_folder) for split in splits}
        record = training_record(command_line(), start, data, recipes)
        write_json(new / "metrics.json", {"training": record, **figures})
        write_card(new)


def command_line() -> str:
    """This command as it can be repeated, with absolute and outer paths, which are private, cut to their last part."""

    def public(argument: str) -> str:
        option, equals, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
        return option + equals + (Path(value).name if Path(value).is_absolute() or value.startswith("..") else value)

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
    """Upload the checkpoint in --out and, with --space, the page; or print what would be uploaded."""
    visibility = "public" if arguments.public else "private"
    options = {name: getattr(arguments, name) for name in ("public", "replace_card", "dry_run")}
    published = push_checkpoint(arguments.out, arguments.push, tag=arguments.tag, **options)
    show_upload(published, visibility)
    if arguments.space:
        show_upload(push_space(arguments.push, arguments.space, published.tag or "", **options), visibility)
        if not arguments.public:
            print(f"Where {arguments.push} is private, the Space needs a secret HF_TOKEN that may read it (Settings).")
    if arguments.dry_run:
        print("Nothing was uploaded: this was a dry run.")


def show_upload(published: Published, visibility: str) -> None:
    print(f"{published.url}, {visibility} if new:")
    for path, size in published.files.items():
        print(f"  {size:>12,} bytes  {path}")
    if CARD not in published.files:
        print(f"  {CARD} was edited there and stays as it is, whatever model it describes; --replace-card replaces it.")


if __name__ == "__main__":
    main()
