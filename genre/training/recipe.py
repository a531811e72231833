"""Hyperparameters of members: the recipes of the default checkpoint, which are the defaults of `train.py`.

A file of recipes is JSON, {name of a member: {field of `Recipe`: value}}; fields that are missing have their defaults.
"""

import math
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from genre.data.dataset import SHARE_POWER
from genre.data.windows import FORMATS
from genre.errors import GenreError
from genre.features.augment import Augmentation
from genre.files import read_json
from genre.models.model import MEMBER_NAME


def _check(settings: object, at_least: dict[str, float], at_most: dict[str, float] | None = None) -> None:
    """Raise ValueError for a number that is negative, not finite, or outside of these limits."""
    for name, value in vars(settings).items():
        if isinstance(value, (int, float)):
            low, high = at_least.get(name, 0), (at_most or {}).get(name, math.inf)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{name} is not a number from {low} " + (f"to {high:g}" if high < math.inf else "on"))


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

    def __post_init__(self) -> None:
        _check(self, at_least={"runs": 1})


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
            for other genres (`genre.models.backbones.average_weights`).
        interpolation: fraction of the fine-tuned weights in that interpolation; None chooses it by validation. With 0 a
            member of a checkpoint stays as it is.
        robust_fine_tuning: the third stage, with stronger augmentation; then the weights before and after it are
            interpolated halfway. That retains the accuracy and gains most of the robustness. 0 epochs for none.
        share_power: a source's share of a batch is proportional to its number of training tracks to this power; None
            for the shares of the data set.
        windows_per_track: random windows of each track in an epoch.
        batch_size: windows of an optimiser step.
        weight_decay: of AdamW, of all weights but biases and those of norms; the schedule is a cosine after
            `warmup_epochs`.
        gradient_norm: to which the gradient of a step is scaled down where its norm is larger; None leaves it as it is.
        label_smoothing: probability spread over all labels.
        dropout: of the head.
        ema_decay: of the moving average of the weights, which are validated and saved.
        distillation_weight: of the second loss, the mean squared error to the standardised outputs of the track's
            teachers, over the tracks that have one.
        augmentation: see `Augmentation`.
        seed: of everything random.
    """

    front_end: str
    backbone: str = "mobilenetv2_100"
    input_size: tuple[int, int] = (128, 64)
    pretrained: Stage = Stage(epochs=8)
    fine_tuning: Stage = Stage(epochs=4, learning_rate=7e-4, runs=3)
    interpolation: float | None = None
    robust_fine_tuning: Stage = Stage(epochs=0)
    share_power: float | None = SHARE_POWER
    windows_per_track: int = 2
    batch_size: int = 64
    weight_decay: float = 0.05
    gradient_norm: float | None = 20.0
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    dropout: float = 0.2
    ema_decay: float = 0.995
    distillation_weight: float = 3.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.front_end not in FORMATS:
            raise ValueError(f"front_end is none of {', '.join(FORMATS)}")
        fractions = dict.fromkeys(("label_smoothing", "dropout", "ema_decay", "interpolation"), 1.0)
        _check(self, at_least={"windows_per_track": 1, "batch_size": 1}, at_most=fractions)


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


def recipes_json(recipes: dict[str, Recipe]) -> dict[str, dict]:
    """Recipes as they are stored in JSON, by the names of their members."""
    return {name: asdict(recipe) for name, recipe in recipes.items()}


def read_recipes(path: Path) -> dict[str, Recipe]:
    """Read a file of recipes, or those in the metrics.json of a checkpoint.

    Raises:
        GenreError: the file cannot be read, or a setting is none or has a wrong value.
    """
    try:
        content = read_json(path)
        if "training" in content:
            content = content["training"]["members"]
        if not content or not all(MEMBER_NAME.fullmatch(name) for name in content):
            raise ValueError("the name of a member is missing or not valid")
        return {name: _parse(Recipe, one, name) for name, one in content.items()}
    except OSError as error:
        raise GenreError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise GenreError(f"{path} holds no recipes: {error}.") from error


def _parse(kind: Any, value: Any, name: str) -> Any:
    """A value of a JSON file as one of this type; raises ValueError with its name where it is none."""
    if get_origin(kind) is UnionType:
        if value is None and NoneType in get_args(kind):
            return None
        (kind,) = set(get_args(kind)) - {NoneType}
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{name} is no group of settings")
        types = get_type_hints(kind)
        if unknown := value.keys() - types.keys():
            raise ValueError(f"{name} has no setting {min(unknown)}")
        for one in fields(kind):
            if one.name not in value and one.default is MISSING and one.default_factory is MISSING:
                raise ValueError(f"{name} has no {one.name}")
        values = {key: _parse(types[key], one, f"{name}, {key}") for key, one in value.items()}
        try:
            return kind(**values)  # type: ignore[operator]  # mypy takes it for an instance
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if get_origin(kind) is tuple:
        if not isinstance(value, list) or len(value) != len(get_args(kind)):
            raise ValueError(f"{name} is no list of {len(get_args(kind))}")
        return tuple(_parse(one, part, name) for one, part in zip(get_args(kind), value, strict=True))
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise ValueError(f"{name} is no {kind.__name__}")
    return value
