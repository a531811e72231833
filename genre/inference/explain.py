"""Why: which parts of a window spoke for a genre.

By integrated gradients (Sundararajan et al., 2017): on the way from a window that is levelled out to the window as it
is, every cell of what a member sees earns the part of the fused verdict's log-odds that it moved. Nothing is lost: what
all cells earned is the difference between the two verdicts. Members look at different axes, so their cells are gathered
into patches of pitch and time that are common to all; by their weights in the fusion they are weighed already.

In a deletion test on real songs it found what matters as well as occlusion did, for a quarter of the work, and better
than LayerCAM. Gradient x input did as well there, but its parts do not add up to the verdict.
"""

import os
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from genre.features.clips import Clip, cut_clips
from genre.features.image import HIGHEST_HZ, Spectrogram, mel_position
from genre.features.log_mel import CLIP_SECONDS, LogMelConfig
from genre.inference.classify import Classifier
from genre.models.checkpoint import Checkpoint, window_members

METHOD = "integrated gradients"
PATCHES = (16, 12)  # of pitch and time
STEPS = 16  # on the way; with 8 the parts do not add up
CLOSE_ENOUGH = 0.01  # seconds; starts that people and pages hand over are rounded
SIZE = (480, 256)  # of the picture, in pixels
FULL_COLOUR = 0.25  # nats: a patch that takes 50 % to 56 % has the full colour
MOST_OPAQUE = 0.75
MIN_PROBABILITY = 1e-6  # so that log-odds are finite
COLOUR = (230, 159, 0)  # orange, which all colour-blind people tell from grey (Okabe and Ito, 2008)


@dataclass(frozen=True)
class Explanation:
    """What in a window spoke for a genre.

    Attributes:
        method: how the map was made.
        genre: that was asked about.
        start, end: of the window in the recording, in seconds. A recording shorter than a window is repeated to fill
            it, and explained as the network saw it.
        probabilities: of the window by genre, likeliest first.
        heat: what each patch adds to the genre's log-odds, in nats; what spoke against it is below zero. Shape
            `PATCHES`: rows from low to high, even steps of mel from 0 to `HIGHEST_HZ`, and even steps of time. What a
            member hears above `HIGHEST_HZ` is in no patch.
        spectrogram: of the window, in shades from 0 to 255, shape (height, width), high notes on top.
    """

    method: str
    genre: str
    start: float
    end: float
    probabilities: dict[str, float]
    heat: np.ndarray
    spectrogram: np.ndarray


def explain(classifier: Classifier, path: str | os.PathLike, start: float, genre: str) -> Explanation:
    """Explain one window as `Classifier.classify` heard it: from the beginning, without overlap.

    The recording counts to its end; where less was heard, windows of the last 30 s may have been judged otherwise.

    Args:
        path: the recording.
        start: of the window, in seconds; the window that starts closest to it is explained.
        genre: one of the classifier's labels.

    Raises:
        AudioError: the recording cannot be heard there.
        ValueError: the classifier knows no such genre.
    """
    label = classifier.labels.index(genre)
    clip, origin, at = _find_window(classifier, path, start)
    seen = windows_seen(classifier.checkpoint, clip, at)
    with torch.inference_mode():
        probabilities = verdicts(classifier.checkpoint, seen)[0].tolist()
    ranked = sorted(zip(classifier.labels, probabilities, strict=True), key=lambda pair: -pair[1])
    spectrogram = _draw(clip, at, classifier.sample_rate, classifier.window_seconds)
    return Explanation(
        METHOD,
        genre,
        origin + at,
        origin + at + classifier.window_seconds,
        dict(ranked),
        heat_map(classifier.checkpoint, seen, label).numpy(),
        spectrogram,
    )


def picture(explanation: Explanation) -> Image.Image:
    """The window in grey, with the patches that spoke for the genre in orange over it: the stronger, the more."""
    grey = Image.fromarray(explanation.spectrogram).resize(SIZE, Image.Resampling.BICUBIC).convert("RGB")
    strength = (explanation.heat[::-1] / FULL_COLOUR).clip(0, 1) * MOST_OPAQUE * 255
    opacity = Image.fromarray(strength.astype(np.uint8)).resize(SIZE, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", SIZE, COLOUR), grey, opacity)


def windows_seen(checkpoint: Checkpoint, clip: Clip, at: float) -> dict[str, Tensor]:
    """What each member that judges windows sees of the one at `at` seconds, in dB, shape (1, bands, columns)."""
    start = torch.tensor([at - clip.start], dtype=torch.float64)
    return {name: checkpoint.members[name].log_mel(clip.raised, start) for name in window_members(checkpoint.members)}


def verdicts(checkpoint: Checkpoint, seen: dict[str, Tensor]) -> Tensor:
    """Fused probabilities of windows (windows, bands, columns) a member, shape (windows, labels)."""
    members = checkpoint.members
    return checkpoint.window_probabilities({n: members[n](dB).float().log_softmax(-1) for n, dB in seen.items()})


def heat_map(checkpoint: Checkpoint, seen: dict[str, Tensor], label: int) -> Tensor:
    """What each patch adds to a label's log-odds, in nats, shape `PATCHES`.

    Log-odds, since a verdict that is all but certain hardly moves as a probability.
    """
    levels = {name: decibels.mean() for name, decibels in seen.items()}
    part = ((torch.arange(STEPS) + 0.5) / STEPS)[:, None, None]
    way = {name: torch.lerp(levels[name], seen[name], part).requires_grad_() for name in seen}
    log_odds = verdicts(checkpoint, way)[:, label].logit(eps=MIN_PROBABILITY)
    gradients = torch.autograd.grad(log_odds.sum(), list(way.values()))
    heat = torch.zeros(PATCHES)
    for (name, decibels), gradient in zip(seen.items(), gradients, strict=True):
        earned = (decibels - levels[name])[0] * gradient.mean(0)
        heat += torch.tensordot(patches_on(checkpoint.members[name].log_mel.config), earned, dims=2)
    return heat


def patches_on(config: LogMelConfig) -> Tensor:
    """How much each patch has of each cell that a member sees, shape (*PATCHES, bands, columns).

    Patches fade into each other, and have all of every cell between them; cells above `HIGHEST_HZ` are in none.
    """
    top = mel_position(config.f_max or config.sample_rate / 2, HIGHEST_HZ)
    # The centre of mel filter i of n lies at (i + 1) / (n + 1) of the axis; fewer bands are spread evenly over them.
    filters = (torch.arange(config.bands) + 0.5) * config.n_mels / config.bands - 0.5
    rows = (filters + 1) / (config.n_mels + 1) * top
    seconds = (torch.arange(config.columns) + 0.5) * config.frames_per_column / config.frames_per_second
    columns = seconds / config.window_seconds
    points = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).float() * 2 - 1
    each = torch.eye(PATCHES[0] * PATCHES[1]).reshape(1, -1, *PATCHES)
    parts = nn.functional.grid_sample(each, points[None], padding_mode="border", align_corners=False)
    return (parts * (rows <= 1)[:, None]).reshape(*PATCHES, config.bands, config.columns)


def _find_window(classifier: Classifier, path: str | os.PathLike, start: float) -> tuple[Clip, float, float]:
    """The clip that holds a window, what its times count from in the recording, and the window's start, in seconds.

    Clips are those of the classifier: reading begins where one of them does, one early, since the last one reaches
    back.
    """
    origin = max(0.0, (start // CLIP_SECONDS - 1) * CLIP_SECONDS)
    pieces = classifier.read(path, classifier.sample_rate, start=origin)
    found = []
    for clip in cut_clips(pieces, classifier.sample_rate, classifier.window_seconds, classifier.window_seconds):
        found += [(abs(origin + at - start), at, clip) for at in clip.window_starts]
        if origin + clip.window_starts[-1] > start - CLOSE_ENOUGH:
            break
    _, at, clip = min(found, key=lambda one: one[:2])
    return clip, origin, at


def _draw(clip: Clip, at: float, rate: int, seconds: float) -> np.ndarray:
    """The window as people look at it, without colour, shape (height, width), uint8."""
    first = round((at - clip.start) * rate)
    spectrogram = Spectrogram(rate)
    spectrogram.add(Clip(clip.waveform[first : first + round(seconds * rate)], 0.0, [0.0], seconds))
    return np.asarray(spectrogram.picture().convert("L"))
