"""Pooled features of a recording by every member of a checkpoint, to which heads for other genres are fitted."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genre.audio.audio import Audio
from genre.audio.clips import cut_clips
from genre.audio.silence import silent
from genre.errors import AudioError
from genre.inference.classify import Classifier, select_windows
from genre.inference.ensemble import run_members

SONG_SECONDS = 120  # of a song that are embedded, so that long songs take no more time and memory than others


@dataclass(frozen=True)
class Embedding:
    """Features of a recording.

    Attributes:
        features: by member, of the windows that are not silent, shape (windows, features), float32; of the clips with
            such windows for a member whose input is a whole clip.
        digest: SHA-256 of the decoded samples, which copies of a file with other names and tags share.
    """

    features: dict[str, Tensor]
    digest: str


def embed(classifier: Classifier, audio: Audio | str | os.PathLike, seconds: float | None = SONG_SECONDS) -> Embedding:
    """Features of the beginning of a recording, of the clips and windows that `Classifier.classify` has.

    Args:
        classifier: whose members compute them.
        audio: the recording, or the path of one.
        seconds: length of the beginning; None for all of it.

    Raises:
        AudioError: the file cannot be decoded, or it is silent.
    """
    recording = audio if isinstance(audio, Audio) else Audio(audio)
    digest, features, levels = hashlib.sha256(), [], []

    def pieces() -> Iterator[np.ndarray]:
        for piece in recording.pieces(classifier.sample_rate, seconds=seconds):
            digest.update(piece.data)
            yield piece

    for clip in cut_clips(pieces(), classifier.sample_rate, classifier.window_seconds, classifier.window_seconds):
        features.append(run_members(classifier.checkpoint, clip)[1])
        levels.append(classifier.levels(clip))
    masks = np.split(~silent(np.concatenate(levels)), np.cumsum([len(one) for one in levels])[:-1])
    audible = [(one, torch.from_numpy(mask)) for one, mask in zip(features, masks, strict=True) if mask.any()]
    if not audible:
        raise AudioError("This recording is silent.")
    names = classifier.checkpoint.members
    joined = {name: torch.cat([select_windows(one[name], mask) for one, mask in audible]) for name in names}
    return Embedding({name: one.float() for name, one in joined.items()}, digest.hexdigest())
