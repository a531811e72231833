"""Hyperparameters of members: the recipes of the default checkpoint, which are the defaults of `train.py`."""

from dataclasses import dataclass, field

from genre.data.dataset import SHARE_POWER
from genre.features.augment import Augmentation


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Attributes:
        epochs: passes over the training tracks.
        learning_rate: maximum of the cosine schedule.
        runs: number of runs from the same weights with different seeds, whose final weights are averaged.
        codec: in place of the recipe's `Augmentation.codec`, unless it is None.
    """

    epochs: int
    learning_rate: float = 1e-3
    runs: int = 1
    codec: float | None = None


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a member: from ImageNet weights all stages are run, from a checkpoint the second alone.

    Attributes:
        front_end: a name in `FRONT_ENDS`.
        backbone: timm model name.
        input_size: height and width of the input image of the network, in pixels.
        pretrained: the first stage, from ImageNet weights.
        fine_tuning: the second stage, from the result of the first one or from a trained checkpoint, with weight
            averaging over its runs. Then the weights before and after it are interpolated, unless the head is a new one
            for other genres (`genre.models.member.average_weights`).
        robust_fine_tuning: the third stage, with stronger augmentation; then the weights before and after it are
            interpolated halfway. That retains the accuracy and gains most of the robustness. 0 epochs for none.
        share_power: a source's share of a batch is proportional to its number of training tracks to this power; None
            for the shares of the data set.
        windows_per_track: random windows of each track in an epoch.
        batch_size: windows of an optimiser step.
        weight_decay: of AdamW; the schedule is a cosine after `warmup_epochs`.
        label_smoothing: probability spread over all labels.
        dropout: of the head.
        ema_decay: of the moving average of the weights, which are validated and saved.
        distillation_weight: of the second loss, the mean squared error to the track's standardised VGGish embedding,
            over the tracks that have one.
        augmentation: see `Augmentation`.
        seed: of everything random.
    """

    front_end: str
    backbone: str = "mobilenetv2_100"
    input_size: tuple[int, int] = (128, 64)
    pretrained: Stage = Stage(epochs=8)
    fine_tuning: Stage = Stage(epochs=4, learning_rate=7e-4, runs=3)
    robust_fine_tuning: Stage = Stage(epochs=0)
    share_power: float | None = SHARE_POWER
    windows_per_track: int = 2
    batch_size: int = 64
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    dropout: float = 0.2
    ema_decay: float = 0.995
    distillation_weight: float = 3.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0


RECIPES = {
    "sparse": Recipe(
        "sparse",
        pretrained=Stage(epochs=12),
        fine_tuning=Stage(epochs=5, learning_rate=7e-4, codec=0.4),
        robust_fine_tuning=Stage(epochs=3, learning_rate=7e-4, codec=0.4),
        share_power=0.3,
    ),
    "smooth": Recipe(
        "smooth",
        input_size=(64, 130),
        pretrained=Stage(epochs=18),
        fine_tuning=Stage(epochs=8, learning_rate=7e-4),
        windows_per_track=1,
        augmentation=Augmentation(roll=0.5, column_mask=0.2),
    ),
    "whole": Recipe(
        "whole",
        input_size=(192, 192),
        pretrained=Stage(epochs=16),
        fine_tuning=Stage(epochs=7, learning_rate=7e-4, codec=0.4),
        robust_fine_tuning=Stage(epochs=4, learning_rate=7e-4, codec=0.4),
        share_power=0.4,
        windows_per_track=1,
        augmentation=Augmentation(roll=0.5, excerpt=0.3),
    ),
    "dense": Recipe("dense", input_size=(128, 130), pretrained=Stage(epochs=20), fine_tuning=Stage(epochs=6)),
}
