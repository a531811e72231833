"""The models that visitors may choose from."""

import re
import threading
from functools import lru_cache

import genre
from genre.errors import CheckpointError
from genre.inference.classify import Classifier
from genre.models.checkpoint import DEFAULT, HUB_PREFIX, load_checkpoint
from genre.web import texts, upload_reader
from genre.web.limits import MAX_MODEL_SIZE

CACHED = 3  # models in memory, besides the first one
HUB_NAME = re.compile(rf"({HUB_PREFIX})?[\w.-]+/[\w.-]+(@[\w./-]+)?")


class Models:
    """Classifiers by name, loaded on first use.

    Args:
        first: name or folder of the checkpoint that the page starts with.

    Raises:
        CheckpointError: that one cannot be loaded.
    """

    def __init__(self, first: str | None = None):
        self.first = first or DEFAULT
        self._start = _load(self.first)
        self._lock = threading.Lock()
        self._load = lru_cache(CACHED)(_load)

    @property
    def names(self) -> list[str]:
        """The one that the page starts with, then the others in `checkpoints/`."""
        return list(dict.fromkeys([self.first, *genre.available()]))

    def get(self, name: str | None) -> Classifier:
        """The classifier of a name in `names`, or of "user/repo" on the Hugging Face Hub, "@revision" added or not.

        Raises:
            CheckpointError: there is none of that name. A name from a visitor is never used as a path.
        """
        name = (name or self.first).strip()
        if name == self.first:
            return self._start
        if name not in self.names:
            if not HUB_NAME.fullmatch(name):
                raise CheckpointError(texts.NO_SUCH_MODEL)
            name = HUB_PREFIX + name.removeprefix(HUB_PREFIX)
        with self._lock:
            return self._load(name)


def _load(name: str) -> Classifier:
    return Classifier(load_checkpoint(name, MAX_MODEL_SIZE), upload_reader.read)
