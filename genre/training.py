"""The training loop: fine-tunes one member and keeps its best epoch by validation."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from genre.augment import Augmentation
from genre.checkpoint import average_windows
from genre.data import Windows
from genre.errors import GenreError
from genre.model import Member


@dataclass(frozen=True)
class Recipe:
    """How a member is trained. The defaults are those that won on FMA-small's validation split, but for the equaliser
    and the phone of the augmentation, which give up a point there for songs that phones record (docs/experiments.md).

    Attributes:
        front_end: a name in `FRONT_ENDS`.
        backbone: timm model name.
        input_size: height and width of the network's picture.
        epochs: passes over the training tracks.
        windows_per_track: random windows of each track in an epoch.
        batch_size: windows of an optimiser step.
        learning_rate, weight_decay: of AdamW; cosine schedule after `warmup_epochs`.
        label_smoothing: probability spread over all labels.
        dropout: of the head.
        ema_decay: of the moving average of the weights, which is what is validated and kept.
        teacher_weight: of the second loss, the mean squared error to the track's standardised VGGish embedding.
        augmentation: see `Augmentation`.
        seed: of everything random.
    """

    front_end: str
    backbone: str = "mobilenetv2_100"
    input_size: tuple[int, int] = (128, 64)
    epochs: int = 8
    windows_per_track: int = 2
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    dropout: float = 0.2
    ema_decay: float = 0.995
    teacher_weight: float = 3.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0


RECIPES = {
    "sparse": Recipe("sparse"),
    "smooth": Recipe(
        "smooth",
        input_size=(64, 130),
        windows_per_track=1,
        epochs=16,
        augmentation=Augmentation(roll=0.5, column_mask=0.2),
    ),
    "whole": Recipe(
        "whole",
        input_size=(192, 192),
        windows_per_track=1,
        augmentation=Augmentation(roll=0.5, excerpt=0.3),
    ),
    "dense": Recipe("dense", input_size=(128, 130), epochs=20),
}


def track_log_probabilities(member: Member, windows: Windows, batch_tracks: int = 32) -> Tensor:
    """Log-probabilities of every window that covers each track, shape (tracks, windows, labels), on the CPU."""
    device = next(member.parameters()).device
    member.eval()
    results = []
    with torch.inference_mode():
        for first in range(0, len(windows), batch_tracks):
            batch = windows.all(np.arange(first, min(first + batch_tracks, len(windows))))
            logits = member(batch.flatten(0, 1).to(device)).float().cpu()
            results.append(logits.log_softmax(-1).unflatten(0, batch.shape[:2]))
    return torch.cat(results)


def train_member(
    accelerator: Accelerator,
    member: Member,
    training: Windows,
    validation: Windows,
    recipe: Recipe,
    state_file: Path,
    resume: bool = False,
) -> float:
    """Fine-tune a member in place; it ends with the weights of its best epoch, on the CPU.

    After every epoch all that is needed to go on lies in `state_file`; with `resume` the run goes on from there and,
    on a CPU, ends with the same weights as an undisturbed one (every epoch draws its random numbers from the seed and
    its own number). Under `accelerate launch` every process takes its share of each batch.

    Returns:
        track accuracy of the best epoch on validation.
    """
    run = _Run(accelerator, member, training, recipe)
    if resume and state_file.is_file():
        run.restore(state_file)
    for epoch in range(run.epoch, recipe.epochs):
        started = time.perf_counter()
        loss = run.train_epoch(epoch)
        first, track = run.validate(validation)
        run.epoch = epoch + 1
        if accelerator.is_main_process:
            run.save(state_file)
        accelerator.log({"loss": loss, "first window": first, "track": track}, step=run.epoch)
        accelerator.print(
            f"epoch {run.epoch}/{recipe.epochs}  loss {loss:.3f}  validation: first window {first:.1%}, "
            f"track {track:.1%}  ({time.perf_counter() - started:.0f} s)",
            flush=True,
        )
    member.cpu().load_state_dict(run.best)
    return run.best_accuracy


class _Student(nn.Module):
    """A member and, where there is a teacher, the layer that guesses the teacher's embedding from its features."""

    def __init__(self, member: Member, teacher_size: int, dropout: float):
        super().__init__()
        self.member, self.dropout = member, dropout
        self.teacher_head = nn.Linear(member.backbone.num_features, teacher_size) if teacher_size else None

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Windows in dB (batch, bands, columns) to logits (batch, labels) and the guess (batch, teacher size)."""
        features = self.member.embed(windows)
        logits = self.member.judge(functional.dropout(features, self.dropout))
        return logits.float(), self.teacher_head(features).float() if self.teacher_head else None


class _Run:
    """What changes while training: network, optimiser, average, best epoch."""

    def __init__(self, accelerator: Accelerator, member: Member, training: Windows, recipe: Recipe):
        torch.manual_seed(recipe.seed)
        self.accelerator, self.training, self.recipe = accelerator, training, recipe
        self.targets = functional.one_hot(training.labels, member.backbone.num_classes).float()
        teacher_size = 0 if training.teacher is None or not recipe.teacher_weight else training.teacher.shape[1]
        student = _Student(member, teacher_size, recipe.dropout)
        optimizer = torch.optim.AdamW(student.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.steps_per_epoch = len(training) * recipe.windows_per_track // recipe.batch_size or 1
        total, warmup = recipe.epochs * self.steps_per_epoch, int(recipe.warmup_epochs * self.steps_per_epoch)
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
        self.epoch, self.best_accuracy, self.best = 0, -1.0, None

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
        for tracks, windows in bar:
            losses.append(self.train_step(windows, tracks))
            best = f"{self.best_accuracy:.1%}" if self.best else "-"
            bar.set_postfix(loss=f"{losses[-1]:.3f}", validation=best, refresh=False)
        return float(np.mean(losses))

    def _batches(self, generator: np.random.Generator) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Tracks and windows of every step; the next ones are read while the network works on these.

        Every process shuffles alike and takes its share of each batch.
        """
        size, accelerator = self.recipe.batch_size, self.accelerator
        repeats = range(self.recipe.windows_per_track)
        order = np.concatenate([generator.permutation(len(self.training)) for _ in repeats])

        def read(step: int) -> tuple[np.ndarray, Tensor]:
            tracks = order[step * size : (step + 1) * size][accelerator.process_index :: accelerator.num_processes]
            windows = self.training.random(tracks, generator)
            return tracks, windows.pin_memory() if accelerator.device.type == "cuda" else windows

        with ThreadPoolExecutor(1) as reader:  # one thread, so that windows are drawn in order
            coming = reader.submit(read, 0)
            for step in range(1, self.steps_per_epoch + 1):
                ready = coming.result()
                if step < self.steps_per_epoch:
                    coming = reader.submit(read, step)
                yield ready

    def train_step(self, windows: Tensor, tracks: np.ndarray) -> float:
        recipe, device = self.recipe, self.accelerator.device
        labels = self.targets[tracks]
        teacher = labels if self.training.teacher is None else self.training.teacher[tracks]
        windows, labels, teacher = (tensor.to(device, non_blocking=True) for tensor in (windows, labels, teacher))
        windows, labels, teacher = recipe.augmentation.mix(recipe.augmentation(windows), labels, teacher)
        with self.accelerator.autocast():
            logits, guess = self.student(windows)
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if guess is not None:
            loss = loss + recipe.teacher_weight * functional.mse_loss(guess, teacher)
        if not np.isfinite(value := loss.item()):
            raise GenreError("The loss is no longer a number; try a lower --learning-rate.")
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.schedule.step()
        self.average.update(self.member, step=self.schedule.last_epoch)
        return value

    def validate(self, validation: Windows) -> tuple[float, float]:
        """Top-1 of first windows and of tracks under the averaged weights, which are kept if they are the best."""
        first, track = _accuracies(track_log_probabilities(self.average.module, validation), validation.labels)
        if track >= self.best_accuracy:  # of equals the later one: few tracks to validate with say little
            self.best_accuracy, self.best = track, _cpu_state(self.average.module)
        return first, track

    def save(self, path: Path) -> None:
        """Write the state beside its place and move it there, so that a kill leaves the old one or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": asdict(self.recipe),
            "epoch": self.epoch,
            "best_accuracy": self.best_accuracy,
            "best": self.best,
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def restore(self, path: Path) -> None:
        state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise GenreError(f"{path} was made with other settings; repeat those, or start again without --resume.")
        self.epoch, self.best_accuracy, self.best = state["epoch"], state["best_accuracy"], state["best"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict:
        student = self.accelerator.unwrap_model(self.student)
        return {"student": student, "optimizer": self.optimizer, "schedule": self.schedule, "average": self.average}


def _accuracies(log_probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Top-1 of the first window and of the track (mean probability)."""
    first = log_probabilities[:, 0].argmax(-1)
    track = average_windows(log_probabilities).argmax(-1)
    return (first == labels).float().mean().item(), (track == labels).float().mean().item()


def _cpu_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
