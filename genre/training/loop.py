"""The training loop: one stage of a member's training, with the best epoch chosen by validation."""

import io
import math
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from genre.data.dataset import DataSet
from genre.data.windows import Mixture, Windows
from genre.errors import GenreError
from genre.files import replaced
from genre.models.checkpoint import average_windows
from genre.models.member import Member
from genre.training.recipe import Recipe, Stage

if TYPE_CHECKING:  # the page imports this module, too, and runs without this package
    from accelerate import Accelerator


BATCH_TRACKS = 32  # that are validated at once


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
        """For TensorBoard."""
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
            losses[name] = functional.nll_loss(songs, windows.song_labels).item()
            accuracies[name] = (songs.argmax(-1) == windows.song_labels).float().mean().item()
        total = sum(share * loss for share, loss in zip(self.shares, losses.values(), strict=True))
        return ValidationFigures(total, losses, accuracies)


def track_log_probabilities(member: Member, windows: Windows) -> Tensor:
    """Log-probabilities of every window that covers each track, shape (tracks, windows, labels), on the CPU."""
    device = next(member.parameters()).device
    member.eval()
    results = []
    with torch.inference_mode():
        for tracks in np.split(np.arange(len(windows)), range(BATCH_TRACKS, len(windows), BATCH_TRACKS)):
            batch = windows.all(tracks)
            logits = member(batch.flatten(0, 1).to(device)).float().cpu()
            results.append(logits.log_softmax(-1).unflatten(0, batch.shape[:2]))
    return torch.cat(results)


def train_stage(
    accelerator: "Accelerator",
    member: Member,
    training: Mixture,
    validation: Validation,
    recipe: Recipe,
    stage: Stage,
    state_file: Path,
    resume: bool = False,
    origin: dict | None = None,
) -> None:
    """Fine-tune a member in place; its final weights are those of its best epoch, on the CPU.

    The best epoch is the one with the lowest validation loss (`Validation`). After every epoch the state is written to
    `state_file`; with `resume` training continues from it and, on a CPU, ends with the same weights as without an
    interruption (random numbers of an epoch depend on the seed and its number). Under `accelerate launch` every process
    takes its share of each batch.

    Args:
        origin: what a state must have been made with to be resumed, besides recipe and stage: hashes of the initial
            weights and of the tracks.

    Raises:
        GenreError: the loss is not a number, or the state cannot be written, is damaged or is of other settings.
    """
    run = _Run(accelerator, member, training, recipe, stage, origin)
    if resume and state_file.is_file():
        run.restore(state_file)
    for epoch in range(run.epoch, stage.epochs):
        started = time.perf_counter()
        training_loss = run.train_epoch(epoch)
        figures = run.validate(validation)
        run.epoch = epoch + 1
        if accelerator.is_main_process:
            run.save(state_file)
        accelerator.log({"training loss": training_loss, **figures.by_name()}, step=run.epoch)
        accelerator.print(
            f"epoch {run.epoch}/{stage.epochs}  training loss {training_loss:.3f}  validation {figures}  "
            f"({time.perf_counter() - started:.0f} s)",
            flush=True,
        )
    member.cpu().load_state_dict(run.best)


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
        accelerator: "Accelerator",
        member: Member,
        training: Mixture,
        recipe: Recipe,
        stage: Stage,
        origin: dict | None,
    ):
        torch.manual_seed(recipe.seed)
        self.accelerator, self.training, self.recipe, self.stage = accelerator, training, recipe, stage
        self.origin = origin
        self.targets = smooth_targets(training.labels, member.backbone.num_classes, recipe.label_smoothing)
        teacher_size = sum(training.teachers.values()) if recipe.distillation_weight else 0
        student = _Student(member, teacher_size, recipe.dropout)
        optimizer = torch.optim.AdamW(student.parameters(), lr=stage.learning_rate, weight_decay=recipe.weight_decay)
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

    def train_epoch(self, epoch: int) -> float:
        """One pass over the training tracks; returns the mean loss of this process."""
        torch.manual_seed(self.recipe.seed * 1000 + epoch + 1_000_000 * self.accelerator.process_index)
        self.student.train()
        losses = []
        bar = tqdm(
            self._batches(np.random.default_rng((self.recipe.seed, epoch))),
            total=self.steps_per_epoch,
            desc=f"epoch {epoch + 1}",
            leave=False,
            unit="batch",
            mininterval=1,
            disable=not self.accelerator.is_main_process,
        )
        for tracks, windows, taught in bar:
            losses.append(self.train_step(tracks, windows, taught))
            best = f"{self.best_loss:.3f}" if self.best_loss < math.inf else "-"
            bar.set_postfix(loss=f"{losses[-1]:.3f}", validation=best, refresh=False)
        return float(np.mean(losses))

    def _batches(self, generator: np.random.Generator) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Tracks, windows and teachers' outputs of every step; a thread reads the next ones meanwhile.

        All processes draw the same batches and take their share of each batch.
        """
        accelerator, steps = self.accelerator, self.steps_per_epoch
        batches = self.training.batches(steps, self.recipe.batch_size, generator)

        def read() -> tuple[np.ndarray, Tensor, Tensor]:
            tracks = next(batches)[accelerator.process_index :: accelerator.num_processes]
            windows, taught = self.training.random(tracks, generator)
            return tracks, windows.pin_memory() if accelerator.device.type == "cuda" else windows, taught

        with ThreadPoolExecutor(1) as reader:  # one thread, so that random numbers are drawn in order
            pending = reader.submit(read)
            for step in range(1, steps + 1):
                ready = pending.result()
                if step < steps:
                    pending = reader.submit(read)
                yield ready

    def train_step(self, tracks: np.ndarray, windows: Tensor, taught: Tensor) -> float:
        """One optimiser step on windows (batch, bands, columns) of these tracks (batch,); returns the loss."""
        recipe, device = self.recipe, self.accelerator.device
        others = torch.from_numpy(shuffle_within(self.training.groups[tracks]))
        labels = self.targets[tracks]
        windows, labels, taught, others = (
            tensor.to(device, non_blocking=True) for tensor in (windows, labels, taught, others)
        )
        windows, labels, taught = recipe.augmentation.mix(recipe.augmentation(windows), labels, taught, others=others)
        with self.accelerator.autocast():
            logits, predicted = self.student(windows)
        loss = functional.cross_entropy(logits, labels)
        if predicted is not None:
            loss = loss + recipe.distillation_weight * distillation_loss(predicted, taught)
        if not np.isfinite(value := loss.item()):
            raise GenreError("The loss is no longer a number; try a lower --learning-rate.")
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.schedule.step()
        self.average.update(self.member, step=self.schedule.last_epoch)
        return value

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
        stored, own = state.get("settings") or {}, self._settings()
        if _songs(stored) != _songs(own) and _without_songs(stored) == _without_songs(own):
            raise GenreError(
                f"The songs have changed since {path} was made; put them back as they were, or start again without "
                "--resume."
            )
        if stored != own:
            raise GenreError(f"{path} was made with other settings; repeat those, or start again without --resume.")
        self.epoch, self.best_loss, self.best = state["epoch"], state["best_loss"], state["best"]
        for name, module in self._stateful().items():
            module.load_state_dict(state[name])

    def _settings(self) -> dict:
        """Settings that a state must match to be resumed: origin, recipe, stage and numbers of training tracks."""
        training = [
            (len(windows), share)
            for windows, share in zip(self.training.sources, self.training.shares.tolist(), strict=True)
        ]
        return asdict(self.recipe) | {"origin": self.origin, "stage": asdict(self.stage), "training": training}

    def _stateful(self) -> dict:
        student = self.accelerator.unwrap_model(self.student)
        return {"student": student, "optimizer": self.optimizer, "schedule": self.schedule, "average": self.average}


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


def shuffle_within(groups: np.ndarray) -> np.ndarray:
    """A random partner for each member of a batch, shape (batch,), of its own group, to mix it with."""
    order = np.argsort(groups, kind="stable")
    shuffled = np.lexsort((torch.randperm(len(groups)).numpy(), groups))
    others = np.empty_like(order)
    others[order] = shuffled
    return others


def distillation_loss(predicted: Tensor, taught: Tensor) -> Tensor:
    """Mean squared error over the outputs, shape (batch, size), that a teacher gave; the others are NaN."""
    known = taught.isfinite()
    error = torch.where(known, predicted - taught.nan_to_num(), 0.0)
    return error.square().sum() / known.sum().clamp(min=1)


def _songs(settings: dict) -> str | None:
    """The hash of the training songs, where the settings have one."""
    return (settings.get("origin") or {}).get("data")


def _without_songs(settings: dict) -> dict:
    """Settings without what depends on the training songs."""
    origin = {name: value for name, value in (settings.get("origin") or {}).items() if name != "data"}
    return {**settings, "training": None, "origin": origin}


def _cpu_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
