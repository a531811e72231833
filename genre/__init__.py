"""Tell the genre of a song from 3-second log-mel windows.

>>> import genre
>>> classifier = genre.load()
>>> classifier.classify("song.mp3").genre  # doctest: +SKIP
'Folk'
"""

from genre.checkpoint import available
from genre.classify import Classifier, Prediction, Window, load
from genre.errors import AudioError, CheckpointError, DataError, GenreError

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
