"""Explain the prediction for a window: how much each part of its spectrogram contributes to a genre.

The method is integrated gradients (Sundararajan et al., 2017), from a baseline window at its mean level to the window
itself. Every cell of a member's input gets its share of the change in the log-odds of the fused prediction; by the
completeness axiom the shares sum to the difference between the two predictions. Members have different axes, so their
cells are summed into patches of frequency and time that all members have in common; the weights of the fusion are part
of the gradients.

In a deletion test on real songs this found relevant patches as well as occlusion did, for a quarter of the computation,
and better than LayerCAM. Gradient x input did as well there, but its shares do not sum to the difference.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from genre.audio.audio import Audio, Clip, windows_per_clip
from genre.features.image import HIGHEST_HZ, Spectrogram, mel_position
from genre.features.log_mel import LogMelConfig, raise_level
from genre.inference.classify import Classifier
from genre.models.model import GenreModel, adapt_to_fork

PATCHES = (16, 12)  # of frequency and time
STEPS = 16  # of the path integral; with 8 the shares do not sum to the difference
START_TOLERANCE = 0.01  # seconds; callers pass rounded starts
SIZE = (480, 256)  # of the image, in pixels
FULL_COLOUR = 0.25  # nats: the attribution drawn in full colour; raises a probability from 50 % to 56 %
MOST_OPAQUE = 0.75
MIN_PROBABILITY = 1e-6  # so that log-odds are finite
COLOUR = (230, 159, 0)  # orange of the colour-blind-safe palette of Okabe and Ito (2008)


@dataclass(frozen=True)
class Explanation:
    """Attributions of one window's prediction to patches of its spectrogram.

    Attributes:
        genre: the genre that is explained.
        start, end: of the window in the recording, in seconds. A recording shorter than a window is repeated to fill
            it, and the repeated waveform is explained, since it is the input of the networks.
        probabilities: of the window by genre, most probable first.
        attributions: what each patch adds to the genre's log-odds, in nats; negative where it lowers them. Shape
            `PATCHES`: rows from low to high in equal steps of mel from 0 to `HIGHEST_HZ`, columns in equal steps of
            time. Inputs above `HIGHEST_HZ` are in no patch.
        spectrogram: of the window, in shades of grey from 0 to 255, shape (height, width), high frequencies on top.
    """

    genre: str
    start: float
    end: float
    probabilities: dict[str, float]
    attributions: np.ndarray
    spectrogram: np.ndarray


def explain(
    classifier: Classifier,
    recording: Audio,
    at: float,
    genre: str,
    *,
    overlap: float = 0.0,
) -> Explanation:
    """Explain one of the windows that `Classifier.classify` makes of a recording.

    Args:
        at: start of the window in the recording, in seconds; the window with the closest start is explained.
        genre: one of the classifier's labels.
        overlap: that the recording was classified with, see `Classifier.classify`.

    Raises:
        AudioError: the file cannot be decoded at that time.
        ValueError: `genre` is not a label, `at` is no number, or `overlap` is out of range.
    """
    label = classifier.labels.index(genre)
    if not math.isfinite(at):
        raise ValueError(f"the start of a window must be a number of seconds, not {at}")
    clip, at = _find_window(classifier, recording, at, overlap)
    adapt_to_fork()
    inputs = member_inputs(classifier.model, clip, at)
    with torch.inference_mode():
        probabilities = fused_probabilities(classifier.model, inputs)[0].tolist()
    ranked = sorted(zip(classifier.labels, probabilities, strict=True), key=lambda pair: -pair[1])
    spectrogram = _draw(clip, at, classifier.sample_rate, classifier.window_seconds)
    return Explanation(
        genre,
        at,
        at + classifier.window_seconds,
        dict(ranked),
        patch_attributions(classifier.model, inputs, label).cpu().numpy(),
        spectrogram,
    )


def attribution_image(explanation: Explanation) -> Image.Image:
    """The spectrogram in grey under positive attributions in orange, whose opacity grows with them; size `SIZE`."""
    grey = Image.fromarray(explanation.spectrogram).resize(SIZE, Image.Resampling.BICUBIC).convert("RGB")
    strength = (explanation.attributions[::-1] / FULL_COLOUR).clip(0, 1) * MOST_OPAQUE * 255
    opacity = Image.fromarray(strength.astype(np.uint8)).resize(SIZE, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", SIZE, COLOUR), grey, opacity)


def member_inputs(model: GenreModel, clip: Clip, at: float) -> dict[str, Tensor]:
    """Inputs of the members that classify windows, for the window at `at` seconds: dB, shape (1, bands, columns)."""
    start = torch.tensor([at - clip.start], dtype=torch.float64)
    raised = raise_level(torch.from_numpy(clip.waveform).to(model.device))
    return {name: model.members[name].log_mel(raised, start) for name in model.window_members}


def fused_probabilities(model: GenreModel, inputs: dict[str, Tensor]) -> Tensor:
    """Fused probabilities, shape (windows, labels), from inputs by member, shape (windows, bands, columns)."""
    members = model.members
    return model.window_probabilities({n: members[n](dB).float().log_softmax(-1) for n, dB in inputs.items()})


def patch_attributions(model: GenreModel, inputs: dict[str, Tensor], label: int) -> Tensor:
    """What each patch adds to a label's log-odds, in nats, shape `PATCHES`.

    Log-odds, since a probability close to 1 hardly changes.
    """
    baseline = {name: decibels.mean() for name, decibels in inputs.items()}
    fractions = ((torch.arange(STEPS, device=model.device) + 0.5) / STEPS)[:, None, None]
    path = {name: torch.lerp(baseline[name], inputs[name], fractions).requires_grad_() for name in inputs}
    log_odds = fused_probabilities(model, path)[:, label].logit(eps=MIN_PROBABILITY)
    gradients = torch.autograd.grad(log_odds.sum(), list(path.values()))
    attributions = torch.zeros(PATCHES, device=model.device)
    for (name, decibels), gradient in zip(inputs.items(), gradients, strict=True):
        by_cell = (decibels - baseline[name])[0] * gradient.mean(0)
        weights = patch_weights(model.members[name].log_mel.config).to(model.device)
        attributions += torch.tensordot(weights, by_cell, dims=2)
    return attributions


def patch_weights(config: LogMelConfig) -> Tensor:
    """Share of each patch in each cell of a member's input, shape (*PATCHES, bands, columns).

    Neighbouring patches are interpolated linearly. The shares of a cell sum to 1, or to 0 above `HIGHEST_HZ`.
    """
    top = mel_position(config.highest_hz, HIGHEST_HZ)
    # The centre of mel filter i of n lies at (i + 1) / (n + 1) of the axis; fewer bands are spread evenly over them.
    filters = (torch.arange(config.bands) + 0.5) * config.n_mels / config.bands - 0.5
    rows = (filters + 1) / (config.n_mels + 1) * top
    seconds = (torch.arange(config.columns) + 0.5) * config.frames_per_column / config.frames_per_second
    columns = seconds / config.window_seconds
    points = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).float() * 2 - 1
    each = torch.eye(PATCHES[0] * PATCHES[1]).reshape(1, -1, *PATCHES)
    shares = nn.functional.grid_sample(each, points[None], padding_mode="border", align_corners=False)
    return (shares * (rows <= 1)[:, None]).reshape(*PATCHES, config.bands, config.columns)


def _find_window(classifier: Classifier, recording: Audio, at: float, overlap: float) -> tuple[Clip, float]:
    """Find the clip with the window that starts closest to `at`; returns it and the window's start, in seconds.

    Clips are those of the classifier: decoding begins at the start of a clip, one clip early, since the last clip of a
    recording overlaps the one before.
    """
    window_seconds, hop_seconds = classifier.window_seconds, classifier.hop_seconds(overlap)
    span = windows_per_clip(window_seconds, hop_seconds) * hop_seconds  # from the start of a clip to that of the next
    start = max(0.0, (at // span - 1) * span)
    closest: tuple[float, float, Clip] | None = None
    for clip in recording.clips(classifier.sample_rate, window_seconds, hop_seconds, start=start):
        found = [(abs(one - at), one, clip) for one in clip.window_starts]
        closest = min([*found, closest] if closest else found, key=lambda one: one[:2])
        if clip.window_starts[-1] > at - START_TOLERANCE:
            break
    assert closest  # `cut_clips` raises where there is no clip
    _, at, clip = closest
    return clip, at


def _draw(clip: Clip, at: float, rate: int, seconds: float) -> np.ndarray:
    """Grey spectrogram image of the window, shape (height, width), uint8."""
    first = round((at - clip.start) * rate)
    spectrogram = Spectrogram(rate)
    spectrogram.add(Clip(clip.waveform[first : first + round(seconds * rate)], 0.0, [0.0], seconds))
    return np.asarray(spectrogram.image().convert("L"))
