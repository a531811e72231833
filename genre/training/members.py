"""From a recipe to a trained member: where it starts, its two stages, the average of several runs."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator

from genre.data.dataset import DataSet
from genre.data.windows import Mixture
from genre.errors import CheckpointError
from genre.features.log_mel import FRONT_ENDS
from genre.models.checkpoint import Checkpoint
from genre.models.member import RANDOM, Member, average_weights, create_backbone, replace_head
from genre.training.loop import Validation, train_stage
from genre.training.recipe import Recipe, Stage

FRACTIONS = (0.25, 0.5, 0.75, 1.0)  # of the way from a trained member to the fine-tuned one
RUN_SEEDS = 100  # between the seeds of the runs of a stage


@dataclass(frozen=True)
class Start:
    """Where members start.

    Attributes:
        checkpoint: a trained one; only the second stage follows, with a new head where the genres are others.
        weights: file of ImageNet weights; None fetches timm's own from the Hub.
        random: start from random weights, to measure what pre-training is worth.
    """

    checkpoint: Checkpoint | None = None
    weights: Path | None = None
    random: bool = False

    def __str__(self) -> str:
        if self.checkpoint:
            return self.checkpoint.name
        return "random weights" if self.random else "ImageNet weights"


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
        runs_folder: takes the state after each epoch (`<name>-<stage>-<run>.pt`) and TensorBoard's logs.
        resume: go on from those states.
    """
    training, validation = Mixture(data, recipe.front_end), Validation(data, recipe.front_end)
    torch.manual_seed(recipe.seed)
    member = _start_member(recipe, name, training, data.genres, start)
    stages = {"fine_tuning": recipe.fine_tuning} if start.checkpoint else {"pretrained": recipe.pretrained}
    if not start.checkpoint and recipe.fine_tuning.epochs:
        stages["fine_tuning"] = recipe.fine_tuning
    known = start.checkpoint is not None and start.checkpoint.labels == data.genres
    for stage_name, stage in stages.items():
        ends = []
        for run in range(stage.runs):
            accelerator.print(
                f"{name}, {stage_name} {run + 1} of {stage.runs}: {recipe.backbone} on {len(training)} tracks, "
                f"{stage.epochs} epochs from learning rate {stage.learning_rate:g}"
            )
            key = f"{name}-{stage_name}-{run}"
            seeded = replace(recipe, seed=recipe.seed + RUN_SEEDS * run)
            end = copy.deepcopy(member)
            accelerator.init_trackers(f"{runs_folder.name}/{key}")
            state = runs_folder / f"{key}.pt"
            train_stage(accelerator, end, training, validation, seeded, stage, state, resume)
            accelerator.end_training()
            ends.append(end)
        end = average_weights(ends)
        if stage.runs > 1:
            accelerator.print(f"{name}, {stage_name}, weights averaged: validation {validation(end)}")
        member = _interpolate(accelerator, name, member, end, validation) if known else end
    return member


def _interpolate(accelerator: Accelerator, name: str, start: Member, end: Member, validation: Validation) -> Member:
    """What a trained member became on more data, or a network on the way there if its validation loss is lower."""
    candidates = {fraction: average_weights([start, end], [1 - fraction, fraction]) for fraction in FRACTIONS}
    figures = {fraction: validation(candidate) for fraction, candidate in candidates.items()}
    for fraction, one in figures.items():
        accelerator.print(f"{name}, {fraction:.0%} of the way from its start: validation {one}")
    return candidates[min(figures, key=lambda fraction: figures[fraction].loss)]


def recipe_from(recipe: Recipe, name: str, start: Start) -> Recipe:
    """The recipe with the network that the member goes on from.

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


def change_stage(recipe: Recipe, start: Start, **changes: float) -> Recipe:
    """The recipe with other epochs or another learning rate in the stage that the training begins with."""
    field = "fine_tuning" if start.checkpoint else "pretrained"
    stage: Stage = getattr(recipe, field)
    return replace(recipe, **{field: replace(stage, **changes)})


def _start_member(recipe: Recipe, name: str, training: Mixture, genres: list[str], start: Start) -> Member:
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
