"""Training of a member by its recipe.

`train_member` goes through the stages: from initial weights, the runs of a stage are averaged, and interpolated with
the weights before. `train_stage` is the training loop of a run, of which the best epoch is chosen by validation.
"""

import copy
import io
import math
import os
import signal
import time
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from genre.data.dataset import DataSet
from genre.data.windows import Batch, Draws, Mixture, Windows
from genre.errors import GenreError
from genre.features.log_mel import FRONT_ENDS
from genre.files import numbered, replaced
from genre.models.backbones import RANDOM, average_weights, create_backbone, replace_head
from genre.models.member import Member
from genre.models.model import GenreModel, average_windows
from genre.training.calibrate import track_log_probabilities
from genre.training.recipe import Recipe, Stage

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the fine-tuned weights in the interpolation with those before
HALFWAY = (0.5,)  # after robust fine-tuning, whose gain does not show in the validation loss
RUN_SEEDS = 100  # difference of the seeds of two runs of a stage
LOG_EVERY = 50  # steps, after which their losses are read from the device and logged
WORKERS = 4  # processes that read windows for a GPU, at most; for a CPU, which has no time to spare, none


@dataclass(frozen=True)
class ValidationFigures:
    """Loss and accuracy of songs by source, and the weighted loss by which epochs are chosen."""

    loss: float
    losses: dict[str, float]
    accuracies: dict[str, float]

    def __str__(self) -> str:
        sources = ", ".join(f"{name} {self.accuracies[name]:.1%} {self.losses[name]:.3f}" for name in self.losses)
        return f"loss {self.loss:.3f} ({sources})"

    def by_name(self) -> dict[str, float]:
        """For trackers."""
        return {
            "validation loss": self.loss,
            **{f"{name} loss": value for name, value in self.losses.items()},
            **{f"{name} accuracy": value for name, value in self.accuracies.items()},
        }


class Validation:
    """The validation tracks of all sources.

    The loss is the negative log-likelihood of songs (mean probability over their windows), the mean over the songs of a
    source, and over sources by their shares of a training batch.
    """

    def __init__(self, data: DataSet, front_end: str):
        used = data.with_split("validation")
        self.shares = [share for _, share in used]
        self.windows = {source.name: Windows(source, "validation", front_end) for source, _ in used}

    def __call__(self, member: Member) -> ValidationFigures:
        losses, accuracies = {}, {}
        for name, windows in self.windows.items():
            songs = windows.by_song(average_windows(track_log_probabilities(member, windows)))
            labels = windows.song_labels.to(songs.device)
            losses[name] = functional.nll_loss(songs, labels).item()
            accuracies[name] = (songs.argmax(-1) == labels).float().mean().item()
        total = sum(share * loss for share, loss in zip(self.shares, losses.values(), strict=True))
        return ValidationFigures(total, losses, accuracies)


@dataclass(frozen=True)
class Start:
    """Initial weights of members.

    Attributes:
        checkpoint: a trained one, for the second stage only; with a new head where the genres differ.
        weights: file of ImageNet weights; None downloads timm's from the Hub.
        random: random weights instead, to measure the effect of pre-training.
    """

    checkpoint: GenreModel | None = None
    weights: Path | None = None
    random: bool = False

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
    workers: int | None = None,
) -> tuple[Member, dict[str, list[dict]]]:
    """Train one member through the stages of its recipe.

    Args:
        name: of the member, for messages and files.
        runs_folder: for the state after each epoch (`<name>-<stage>-<run>.pt`) and TensorBoard's logs.
        resume: continue from those states; otherwise those of an earlier training are set aside.
        workers: processes that read windows, see `train_stage`.

    Returns:
        the member, and the figures of each epoch of each run, by `<name>-<stage>-<run>` (see `train_stage`).
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
    curves: dict[str, list[dict]] = {}
    if recipe.interpolation == 0 and start.checkpoint and not new_head:
        accelerator.print(f"{name} stays as it is in {start.checkpoint.name}")
        return member, curves
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
            _start_tracker(accelerator, runs_folder.name, key, seeded)
            state = runs_folder / f"{key}.pt"
            curves[key] = train_stage(
                accelerator, end, training, validation, seeded, stage, state, resume, origin, workers
            )
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
            chosen_from = FRACTIONS if recipe.interpolation is None else (recipe.interpolation,)
            chosen_from = chosen_from if stage_name == "fine_tuning" else HALFWAY
            member = _interpolate(accelerator, name, member, end.cpu(), validation, chosen_from)
    return member, curves


def _start_tracker(accelerator: Accelerator, training: str, key: str, recipe: Recipe) -> None:
    """Start the log of a run: of TensorBoard in a folder of its name, elsewhere as a run of the project "genre"."""
    named = {"name": f"{training}/{key}", "group": training}
    if "tensorboard" in map(str, accelerator.log_with):
        accelerator.init_trackers(f"{training}/{key}")
    else:
        of_wandb = {**named, "dir": accelerator.project_dir}
        accelerator.init_trackers("genre", asdict(recipe), {"wandb": of_wandb, "trackio": named})


def _finish(accelerator: Accelerator) -> None:
    """Close the logs of a run and release its network and optimiser; the processes remain connected."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers.clear()
    accelerator.free_memory()
    torch.compiler.reset()  # otherwise the functions compiled for each of the networks would add up


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


def train_stage(
    accelerator: Accelerator,
    member: Member,
    training: Mixture,
    validation: Validation,
    recipe: Recipe,
    stage: Stage,
    state_file: Path,
    resume: bool = False,
    origin: dict | None = None,
    workers: int | None = None,
) -> list[dict]:
    """Fine-tune a member in place; its final weights are those of its best epoch, on the CPU.

    The best epoch is the one with the lowest validation loss (`Validation`). After every epoch the state is written to
    `state_file`; with `resume` training continues from it and, on a CPU, ends with the same weights as without an
    interruption (random numbers of an epoch depend on the seed and its number). Under `accelerate launch` every process
    takes its share of each batch.

    Args:
        origin: what a state must have been made with to be resumed, besides recipe and stage: hashes of the initial
            weights and of the tracks.
        workers: processes that read windows; 0 reads them in this one. By default `WORKERS` at most for a GPU, and none
            for a CPU. The weights do not depend on it.

    Returns:
        for each epoch {epoch, training loss, validation loss, SOURCE loss, SOURCE accuracy}.

    Raises:
        GenreError: the loss is not a number, or the state cannot be written, is damaged or is of other settings.
    """
    run = _Run(accelerator, member, training, recipe, stage, origin, workers)
    if resume and state_file.is_file():
        run.restore(state_file)
    for epoch in range(run.epoch, stage.epochs):
        started = time.perf_counter()
        training_loss = run.train_epoch(epoch)
        figures = run.validate(validation)
        run.epoch = epoch + 1
        run.curve.append({"epoch": run.epoch, "training loss": training_loss, **figures.by_name()})
        if accelerator.is_main_process:
            run.save(state_file)
        accelerator.log(run.curve[-1], step=run.epoch * run.steps_per_epoch)
        accelerator.print(
            f"epoch {run.epoch}/{stage.epochs}  training loss {training_loss:.3f}  validation {figures}  "
            f"({time.perf_counter() - started:.0f} s)",
            flush=True,
        )
    member.cpu().load_state_dict(run.best)
    return run.curve


class _Student(nn.Module):
    """A member and, for distillation, a linear layer that predicts the teachers' outputs from its features."""

    def __init__(self, member: Member, teacher_size: int, dropout: float):
        super().__init__()
        self.member, self.dropout = member, dropout
        self.teacher_head = (
            nn.Linear(member.backbone.get_classifier().in_features, teacher_size) if teacher_size else None
        )

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Windows in dB (batch, bands, columns) to logits (batch, labels) and predictions (batch, teacher size)."""
        features = self.member.embed(windows)
        logits = self.member.head(functional.dropout(features, self.dropout))
        return logits.float(), self.teacher_head(features).float() if self.teacher_head else None


class _Run:
    """The state of training: network, optimiser, schedule, moving average of the weights, best epoch."""

    def __init__(
        self,
        accelerator: Accelerator,
        member: Member,
        training: Mixture,
        recipe: Recipe,
        stage: Stage,
        origin: dict | None,
        workers: int | None,
    ):
        torch.manual_seed(recipe.seed)
        self.accelerator, self.training, self.recipe, self.stage = accelerator, training, recipe, stage
        self.origin = origin
        targets = smooth_targets(training.labels, member.backbone.num_classes, recipe.label_smoothing)
        self.targets = targets.to(accelerator.device)
        teacher_size = sum(training.teachers.values()) if recipe.distillation_weight else 0
        student = _Student(member, teacher_size, recipe.dropout)
        on_gpu = accelerator.device.type == "cuda"
        groups = param_groups_weight_decay(student, recipe.weight_decay)  # none for biases and norms
        # The fused one is faster, and does not wait for a GPU to tell whether a gradient in float16 has overflowed.
        optimizer = torch.optim.AdamW(groups, lr=stage.learning_rate, fused=True)
        self.steps_per_epoch = training.steps(recipe.batch_size, recipe.windows_per_track)
        total, warmup = stage.epochs * self.steps_per_epoch, int(recipe.warmup_epochs * self.steps_per_epoch)
        self.schedule = torch.optim.lr_scheduler.SequentialLR(
            optimizer,
            [
                torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=max(1, warmup)),
                torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, total - warmup)),
            ],
            [warmup],
        )
        self.student, self.optimizer = accelerator.prepare(student, optimizer)
        self.member = member
        self.average = ModelEmaV3(member, decay=recipe.ema_decay, use_warmup=True)
        self.epoch, self.best_loss, self.best = 0, math.inf, _cpu_state(member)
        self.curve: list[dict] = []
        if workers is None:
            workers = min(WORKERS, max(1, (os.cpu_count() or 1) // accelerator.num_processes - 1)) if on_gpu else 0
        place = accelerator.process_index, accelerator.num_processes
        self.draws = Draws(training, recipe.batch_size, self.steps_per_epoch, recipe.seed, *place)
        self.loader = DataLoader(
            training,
            sampler=self.draws,
            batch_size=None,  # a draw is one
            num_workers=workers,
            pin_memory=on_gpu,
            persistent_workers=workers > 0,
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # its own, so that random numbers do not depend on the number of workers
        )

    def train_epoch(self, epoch: int) -> float:
        """One pass over the training tracks; returns the mean loss of this process.

        No step waits for the GPU: losses are read from it after every `LOG_EVERY` steps.

        Raises:
            GenreError: a loss is not a number.
        """
        torch.manual_seed(self.recipe.seed * 1000 + epoch + 1_000_000 * self.accelerator.process_index)
        self.student.train()
        self.draws.epoch = epoch
        bar = tqdm(
            self.loader,
            desc=f"epoch {epoch + 1}",
            leave=False,
            unit="batch",
            mininterval=1,
            disable=not self.accelerator.is_main_process,
        )
        total, losses, rates = 0.0, [], []
        for step, batch in enumerate(bar, 1):
            rates.append(self.schedule.get_last_lr()[0])
            losses.append(self.train_step(batch))
            if len(losses) == LOG_EVERY or step == self.steps_per_epoch:
                values = torch.stack(losses).tolist()
                if not np.isfinite(values).all():
                    raise GenreError("The loss is no longer a number; try a lower --learning-rate.")
                first = epoch * self.steps_per_epoch + step - len(values)
                for number, (loss, rate) in enumerate(zip(values, rates, strict=True), first + 1):
                    self.accelerator.log({"loss": loss, "learning rate": rate}, step=number)
                best = f"{self.best_loss:.3f}" if self.best_loss < math.inf else "-"
                bar.set_postfix(loss=f"{np.mean(values):.3f}", validation=best, refresh=False)
                total += sum(values)
                losses, rates = [], []
        return total / self.steps_per_epoch

    def train_step(self, batch: Batch) -> Tensor:
        """One optimiser step; returns the loss, on the device."""
        recipe, device = self.recipe, self.accelerator.device
        tracks, windows, taught, partners = (tensor.to(device, non_blocking=True) for tensor in batch)
        augmented = recipe.augmentation(windows)
        windows, labels, taught = recipe.augmentation.mix(augmented, self.targets[tracks], taught, others=partners)
        with self.accelerator.autocast():
            logits, predicted = self.student(windows)
        loss = functional.cross_entropy(logits, labels)
        if predicted is not None:
            loss = loss + recipe.distillation_weight * distillation_loss(predicted, taught)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        if recipe.gradient_norm is not None:
            self.accelerator.clip_grad_norm_(self.student.parameters(), recipe.gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        self.average.update(self.member, step=self.schedule.last_epoch)
        return loss.detach()

    def validate(self, validation: Validation) -> ValidationFigures:
        """Figures of the averaged weights, which are stored if they are the best so far."""
        figures = validation(self.average.module)
        if figures.loss <= self.best_loss:
            self.best_loss, self.best = figures.loss, _cpu_state(self.average.module)
        return figures

    def save(self, path: Path) -> None:
        """Replace the state by that after the last epoch; raises GenreError where it cannot be written."""
        state = {
            "settings": self._settings(),
            "epoch": self.epoch,
            "best_loss": self.best_loss,
            "best": self.best,
            "curve": self.curve,
            **{name: module.state_dict() for name, module in self._stateful().items()},
        }
        content = io.BytesIO()
        torch.save(state, content)  # to memory, since it raises no OSError where the disk is full
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(path) as new:
                new.write_bytes(content.getbuffer())
        except OSError as error:
            raise GenreError(
                f"{path} cannot be written: {error.strerror}. --resume continues after the last epoch that was written."
            ) from error

    def restore(self, path: Path) -> None:
        """Load a state; raises GenreError if it is damaged, or was written with other settings or for other songs."""
        state = _read_state(path)
        both = state.get("settings") or {}, self._settings()
        stored, own = (one | (one.get("origin") or {}) | {"origin": None} for one in both)
        changed = {name for name in stored | own if stored.get(name) != own.get(name)}
        if "data" in changed and changed <= {"data", "training"}:
            raise GenreError(
                f"The songs have changed since {path} was made; put them back as they were, or start again without "
                "--resume."
            )
        if changed:
            raise GenreError(f"{path} was made with other settings; repeat those, or start again without --resume.")
        self.epoch, self.best_loss, self.best = state["epoch"], state["best_loss"], state["best"]
        self.curve = state["curve"]
        for name, module in self._stateful().items():
            module.load_state_dict(state[name])

    def _settings(self) -> dict:
        """Settings that a state must match to be resumed: origin, recipe, stage and numbers of training tracks."""
        training = [
            (len(windows), share)
            for windows, share in zip(self.training.sources, self.training.shares.tolist(), strict=True)
        ]
        recipe = replace(self.recipe, interpolation=None)  # which is what comes after
        return asdict(recipe) | {"origin": self.origin, "stage": asdict(self.stage), "training": training}

    def _stateful(self) -> dict:
        student = self.accelerator.unwrap_model(self.student)
        parts = {"student": student, "optimizer": self.optimizer, "schedule": self.schedule, "average": self.average}
        scaler = self.accelerator.scaler  # of the loss, in float16
        return parts | {"scaler": scaler} if scaler else parts


def _read_state(path: Path) -> dict:
    """Read a state, with its tensors on the CPU; raises GenreError where the file is damaged."""
    content = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(content) as archive:
            if part := archive.testzip():  # by the checksums, which torch.load does not compare
                raise zipfile.BadZipFile(part)
        content.seek(0)
        return torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # which one depends on the damage
        raise GenreError(f"{path} is damaged; remove it, and --resume starts that stage anew.") from error


def smooth_targets(labels: Tensor, genres: int, smoothing: float) -> Tensor:
    """Label smoothing: genres (tracks,) to distributions (tracks, genres); zeros for -1, which gives no loss."""
    known = labels[:, None] >= 0
    return (functional.one_hot(labels.clamp(min=0), genres) * (1 - smoothing) + smoothing / genres) * known


def distillation_loss(predicted: Tensor, taught: Tensor) -> Tensor:
    """Mean squared error over the outputs, shape (batch, size), that a teacher gave; the others are NaN."""
    known = taught.isfinite()
    error = torch.where(known, predicted - taught.nan_to_num(), 0.0)
    return error.square().sum() / known.sum().clamp(min=1)


def _cpu_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _start_worker(number: int) -> None:
    """Leave Ctrl-C to the process that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
