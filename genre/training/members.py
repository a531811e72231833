"""Training of a member by its recipe: initial weights, stages, weight averaging over runs, interpolation."""

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from genre.data.dataset import DataSet
from genre.data.windows import Mixture
from genre.errors import CheckpointError
from genre.features.log_mel import FRONT_ENDS
from genre.files import numbered
from genre.models.checkpoint import Checkpoint
from genre.models.member import RANDOM, Member, average_weights, create_backbone, replace_head
from genre.training.loop import Validation, train_stage
from genre.training.recipe import Recipe, Stage

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the fine-tuned weights in the interpolation with those before
HALFWAY = (0.5,)  # after robust fine-tuning, whose gain does not show in the validation loss
RUN_SEEDS = 100  # difference of the seeds of two runs of a stage


@dataclass(frozen=True)
class Start:
    """Initial weights of members.

    Attributes:
        checkpoint: a trained one, for the second stage only; with a new head where the genres differ.
        weights: file of ImageNet weights; None downloads timm's from the Hub.
        random: random weights instead, to measure the effect of pre-training.
        fractions: of the fine-tuned weights in the interpolation with those of the checkpoint, by member; chosen by
            validation for the others. With 0 a member stays as it is.
    """

    checkpoint: Checkpoint | None = None
    weights: Path | None = None
    random: bool = False
    fractions: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.checkpoint:
            return self.checkpoint.name
        return "random weights" if self.random else "ImageNet weights"

    @property
    def digest(self) -> str:
        """What tells two starts apart."""
        return self.checkpoint.digest if self.checkpoint else str(self)


def train_member(
    accelerator: Accelerator,
    name: str,
    recipe: Recipe,
    data: DataSet,
    start: Start,
    runs_folder: Path,
    resume: bool = False,
) -> Member:
    """Train one member through the stages of its recipe.

    Args:
        name: of the member, for messages and files.
        runs_folder: for the state after each epoch (`<name>-<stage>-<run>.pt`) and TensorBoard's logs.
        resume: continue from those states; otherwise those of an earlier training are set aside.
    """
    if not resume and accelerator.is_main_process:
        _set_aside(name, runs_folder)
    data = with_shares(data, recipe)
    training, validation = Mixture(data, recipe.front_end), Validation(data, recipe.front_end)
    teachers = " and ".join(Path(file).stem for file in training.teachers) or "no teacher"
    torch.manual_seed(recipe.seed)
    member = start_member(recipe, name, training, data.genres, start)
    origin = {"start": start.digest, "data": data.digest}
    new_head = start.checkpoint is not None and start.checkpoint.labels != data.genres
    fractions = (start.fractions[name],) if name in start.fractions else FRACTIONS
    if fractions == (0,) and start.checkpoint and not new_head:
        accelerator.print(f"{name} stays as it is in {start.checkpoint.name}")
        return member
    for stage_name, stage in _stages(recipe, start).items():
        codec = recipe.augmentation.codec if stage.codec is None else stage.codec
        augmentation = replace(recipe.augmentation, codec=codec)
        ends = []
        for run in range(stage.runs):
            accelerator.print(
                f"{name}, {stage_name} {run + 1} of {stage.runs}: {recipe.backbone} on {len(training)} tracks, taught "
                f"by {teachers}, {stage.epochs} epochs from learning rate {stage.learning_rate:g}"
            )
            key = f"{name}-{stage_name}-{run}"
            seeded = replace(recipe, seed=recipe.seed + RUN_SEEDS * run, augmentation=augmentation)
            end = copy.deepcopy(member)
            accelerator.init_trackers(f"{runs_folder.name}/{key}")
            state = runs_folder / f"{key}.pt"
            train_stage(accelerator, end, training, validation, seeded, stage, state, resume, origin)
            _finish(accelerator)
            ends.append(end)
        end = average_weights(ends)
        if stage.runs > 1:
            accelerator.print(
                f"{name}, {stage_name}, weights averaged: validation {validation(end.to(accelerator.device))}"
            )
        if stage_name == "pretrained" or new_head:
            member = end.cpu()
        else:
            chosen_from = fractions if stage_name == "fine_tuning" else HALFWAY
            member = _interpolate(accelerator, name, member, end.cpu(), validation, chosen_from)
    return member


def _finish(accelerator: Accelerator) -> None:
    """Close the logs of a run and release its network and optimiser; the processes remain connected."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.free_memory()


def _set_aside(name: str, runs_folder: Path) -> None:
    """Move a member's states of an earlier training to a sub-folder, so that --resume does not mix the two."""
    states = sorted(runs_folder.glob(f"{name}-*.pt"))
    if not states:
        return
    free = (path for path in numbered(runs_folder / "earlier") if not any((path / one.name).exists() for one in states))
    aside = next(free)
    aside.mkdir(exist_ok=True)
    print(f"{name}: the states of an earlier training, which --resume would have continued, are now in {aside}")
    for state in states:
        state.replace(aside / state.name)


def _stages(recipe: Recipe, start: Start) -> dict[str, Stage]:
    """The stages that are run, by name."""
    if start.checkpoint:
        return {"fine_tuning": recipe.fine_tuning}
    stages = {name: getattr(recipe, name) for name in ("pretrained", "fine_tuning", "robust_fine_tuning")}
    return {name: stage for name, stage in stages.items() if stage.epochs}


def with_shares(data: DataSet, recipe: Recipe) -> DataSet:
    """The data with the shares of the recipe."""
    return data if recipe.share_power is None else data.shared_by_power(recipe.share_power)


def _interpolate(
    accelerator: Accelerator,
    name: str,
    start: Member,
    end: Member,
    validation: Validation,
    fractions: tuple[float, ...],
) -> Member:
    """Interpolate the weights before and after fine-tuning, by the fraction with the lowest validation loss."""
    candidates = {fraction: average_weights([start, end], [1 - fraction, fraction]) for fraction in fractions}
    figures = {fraction: validation(candidate.to(accelerator.device)) for fraction, candidate in candidates.items()}
    for fraction, one in figures.items():
        accelerator.print(f"{name}, weights interpolated, {fraction:.0%} fine-tuned: validation {one}")
    return candidates[min(figures, key=lambda fraction: figures[fraction].loss)].cpu()


def recipe_from(recipe: Recipe, name: str, start: Start) -> Recipe:
    """The recipe with the network of the checkpoint's member.

    Raises:
        CheckpointError: the checkpoint has no such member.
    """
    if start.checkpoint is None:
        return recipe
    member = start.checkpoint.members.get(name)
    if member is None:
        raise CheckpointError(
            f"{start.checkpoint.name} has no {name} member, only {', '.join(start.checkpoint.members)}."
        )
    return replace(recipe, backbone=member.backbone.pretrained_cfg["architecture"], input_size=member.input_size)


def change_stage(recipe: Recipe, start: Start, **changes: Any) -> Recipe:
    """The recipe with other fields of `Stage` in the stage that training begins with.

    With a number of epochs, training ends after that stage.
    """
    if start.checkpoint:
        return replace(recipe, fine_tuning=replace(recipe.fine_tuning, **changes))
    recipe = replace(recipe, pretrained=replace(recipe.pretrained, **changes))
    none = Stage(epochs=0)
    return replace(recipe, fine_tuning=none, robust_fine_tuning=none) if "epochs" in changes else recipe


def start_member(recipe: Recipe, name: str, training: Mixture, genres: list[str], start: Start) -> Member:
    """The member that training begins with."""
    if start.checkpoint:
        member = start.checkpoint.members[name]
        if start.checkpoint.labels == genres:
            return member
        print(
            f"{name}: from {start.checkpoint.name}, with a new head for {len(genres)} genres in place of "
            f"{len(start.checkpoint.labels)}"
        )
        return replace_head(member, len(genres))
    weights = RANDOM if start.random else start.weights
    backbone = create_backbone(recipe.backbone, len(genres), weights, recipe.input_size)
    return Member(backbone, FRONT_ENDS[recipe.front_end], *training.statistics(), recipe.input_size)
