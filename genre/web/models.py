"""The models that visitors may choose from."""

import re
import secrets
import threading
import weakref
from collections import OrderedDict

import genre
from genre.errors import CheckpointError
from genre.inference.classify import Classifier
from genre.models.checkpoint import Checkpoint, load_checkpoint
from genre.models.locations import DEFAULT, HUB_PREFIX
from genre.web import texts
from genre.web.limits import MAX_MODEL_SIZE

CACHED = 3  # models in memory, besides the first one; each as it is stored, and with fused batch norms
TAUGHT_PREFIX = "taught:"  # of the names of models that visitors have taught
HUB_NAME = re.compile(rf"({HUB_PREFIX})?[\w.-]+/[\w.-]+(@[\w./-]+)?")


class _Loaded:
    """A checkpoint as it is stored, for Teach, and its classifier, whose members have fused batch norms."""

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.classifier = Classifier(checkpoint)


class Models:
    """Classifiers by name, loaded on first use.

    Args:
        source: name or folder of the checkpoint that the page starts with.

    Attributes:
        first: the name of that one; visitors do not see its folder.

    Raises:
        CheckpointError: that one cannot be loaded.
    """

    def __init__(self, source: str | None = None):
        self._source = source or DEFAULT
        self._start = _Loaded(load_checkpoint(self._source))
        public = self._source.startswith(HUB_PREFIX) or self._source in genre.available()
        self.first = self._source if public else self._start.checkpoint.name
        self._loading, self._lock = threading.Lock(), threading.Lock()  # the latter of the cache, held for an instant
        self._cache: OrderedDict[str, _Loaded] = OrderedDict()
        self._taught: weakref.WeakValueDictionary[str, Classifier] = weakref.WeakValueDictionary()

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
        if name.startswith(TAUGHT_PREFIX):
            if taught := self._taught.get(name):
                return taught
            raise CheckpointError(texts.TAUGHT_MODEL_GONE)
        return self._loaded(name).classifier

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint of a model that was not taught, with its members as they are stored.

        Raises:
            CheckpointError: there is none of that name.
        """
        return self._loaded(name).checkpoint

    def _loaded(self, name: str) -> "_Loaded":
        if name in (self.first, self.first.removeprefix(HUB_PREFIX)):
            return self._start
        source = _source(name)
        if cached := self._cached(source):
            return cached
        with self._loading:  # one at a time, as it may be a download
            return self._cached(source) or self._add(source, _Loaded(load_checkpoint(source, MAX_MODEL_SIZE)))

    def _cached(self, source: str) -> "_Loaded | None":
        with self._lock:
            if source in self._cache:
                self._cache.move_to_end(source)
            return self._cache.get(source)

    def _add(self, source: str, loaded: "_Loaded") -> "_Loaded":
        with self._lock:
            self._cache[source] = loaded
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
            return loaded

    def add_taught(self, classifier: Classifier) -> str:
        """Add a model under a name that cannot be guessed; it is there for as long as the caller keeps it."""
        name = TAUGHT_PREFIX + secrets.token_hex(16)
        self._taught[name] = classifier
        return name


def _source(name: str) -> str:
    """The name by which `load_checkpoint` finds the model that a visitor names, which is never used as a path.

    Raises:
        CheckpointError: it is none of a model.
    """
    if name in genre.available():
        return name
    if not HUB_NAME.fullmatch(name):
        raise CheckpointError(texts.NO_SUCH_MODEL)
    return HUB_PREFIX + name.removeprefix(HUB_PREFIX)
