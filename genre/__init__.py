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
    from genre.audio.audio import Audio
    from genre.inference.classify import Classifier, load
    from genre.inference.prediction import Prediction, Window
    from genre.models.model import available

__version__ = "0.1.0"
__all__ = [
    "Audio",
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


LATE = {  # modules of names that are imported on first use
    "Audio": "genre.audio.audio",
    "Classifier": "genre.inference.classify",
    "Prediction": "genre.inference.prediction",
    "Window": "genre.inference.prediction",
    "available": "genre.models.model",
    "load": "genre.inference.classify",
}


def __getattr__(name: str) -> object:
    """Import names on first use: processes that only decode save the memory of torch, hundreds of MB."""
    if name not in LATE:
        raise AttributeError(f"module 'genre' has no attribute {name!r}")
    return getattr(import_module(LATE[name]), name)
