"""Classify the genre of recordings from 3-second log-mel windows.

>>> import genre
>>> classifier = genre.load()
>>> classifier.classify("song.mp3").genre  # doctest: +SKIP
'Folk'
"""

from importlib import import_module
from typing import TYPE_CHECKING

from genre.errors import AudioError, CheckpointError, DataError, GenreError

if TYPE_CHECKING:
    from genre.inference.classify import Classifier, Prediction, Window, load
    from genre.models.checkpoint import available

__all__ = [
    "AudioError",
    "CheckpointError",
    "Classifier",
    "DataError",
    "GenreError",
    "Prediction",
    "Window",
    "available",
    "load",
]


def __getattr__(name: str) -> object:
    """Import names that need torch on first use: processes that only decode save its memory, hundreds of MB."""
    if name not in __all__:
        raise AttributeError(f"module 'genre' has no attribute {name!r}")
    module = "genre.models.checkpoint" if name == "available" else "genre.inference.classify"
    return getattr(import_module(module), name)
