"""The models that visitors may choose from."""

import secrets
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from typing import TypeVar

import genre
from genre.errors import CheckpointError
from genre.inference.classify import Classifier
from genre.models.model import DEFAULT, HUB_PREFIX, GenreModel
from genre.web import texts
from genre.web.limits import HUB_NAME, MAX_MODEL_SIZE, MODEL_SECONDS, MODELS

CACHED = 3  # models in memory, besides the first one
DOWNLOADS = 4  # at the same time; further ones wait
TAUGHT_PREFIX = "taught:"  # of the names of models that visitors have taught

T = TypeVar("T")


def load(source: str, visitor_bytes: int | None = None) -> Classifier:
    """Load a model; arguments and errors are those of `GenreModel.from_pretrained`."""
    return Classifier(GenreModel.from_pretrained(source, for_inference=True, visitor_bytes=visitor_bytes))


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
        self._start = load(self._source)
        public = self._source.startswith(HUB_PREFIX) or self._source in genre.available()
        self.first = self._source if public else self._start.model.name
        self._lock = threading.Lock()  # of the next one, held for an instant
        self._cache: OrderedDict[str, Future[Classifier]] = OrderedDict()  # by source, the most recently used last
        self._downloads = threading.Semaphore(DOWNLOADS)
        self._taught: weakref.WeakValueDictionary[str, Classifier] = weakref.WeakValueDictionary()

    @property
    def names(self) -> list[str]:
        """The one that the page starts with, the others in `checkpoints/`, and those of the Hub that are offered."""
        return list(dict.fromkeys([self.first, *genre.available(), *(MODELS or ())]))

    def get(self, name: str | None) -> Classifier:
        """The classifier of a name in `names`, or, where any are offered, of "user/repo@revision" on the Hub.

        Raises:
            CheckpointError: there is none of that name, or it has not been loaded within `MODEL_SECONDS`. A name from a
                visitor is never used as a path.
        """
        name = (name or self.first).strip()
        if name.startswith(TAUGHT_PREFIX):
            if taught := self._taught.get(name):
                return taught
            raise CheckpointError(texts.TAUGHT_MODEL_GONE)
        if self._is_first(name):
            return self._start
        source = _source(name)
        with self._lock:
            if source in self._cache:
                self._cache.move_to_end(source)
            loaded = [one for one, future in self._cache.items() if future.done()]
            failed = [one for one in loaded if self._cache[one].exception()]  # they are tried again
            for one in {*failed, *loaded[: max(0, len(loaded) - CACHED)]}:
                del self._cache[one]
            if source not in self._cache:
                self._cache[source] = self._begin(source, lambda: load(source, MAX_MODEL_SIZE))
            future = self._cache[source]
        return _result(future, name, source)

    def read(self, name: str) -> GenreModel:
        """Read a model that was not taught once more, with its members as they are stored, for the caller alone.

        Raises:
            CheckpointError: as `get`.
        """
        is_first = self._is_first(name)
        source, most_bytes = (self._source, None) if is_first else (_source(name), MAX_MODEL_SIZE)
        future = self._begin(source, lambda: GenreModel.from_pretrained(source, visitor_bytes=most_bytes))
        return _result(future, name, source)

    def public_source(self, name: str) -> str:
        """By what train.py finds a model that was not taught; the name alone of a folder, which is private."""
        return self.first if self._is_first(name) else _source(name)

    def origin(self, name: str | None) -> str:
        """A sentence on whose model it is, if it is one of the Hub that a visitor has named; else empty."""
        name = (name or self.first).strip()
        is_here = self._is_first(name) or name in genre.available() or name.startswith(TAUGHT_PREFIX)
        on_hub = name.removeprefix(HUB_PREFIX)
        return "" if is_here else texts.from_the_hub(on_hub, on_hub in (MODELS or ()))

    def _is_first(self, name: str) -> bool:
        return name in (self.first, self.first.removeprefix(HUB_PREFIX))

    def _begin(self, source: str, work: Callable[[], T]) -> "Future[T]":
        """Run `work` in a thread of its own, so that nobody has to wait for a download."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                with self._downloads if source.startswith(HUB_PREFIX) else nullcontext():
                    future.set_result(work())
            except Exception as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def add_taught(self, classifier: Classifier) -> str:
        """Add a model under a name that cannot be guessed; it is there for as long as the caller keeps it."""
        name = TAUGHT_PREFIX + secrets.token_hex(16)
        self._taught[name] = classifier
        return name


def _result(future: "Future[T]", name: str, source: str) -> T:
    """What was loaded.

    Raises:
        CheckpointError: it could not be loaded, or a download takes longer than `MODEL_SECONDS`; it goes on meanwhile.
    """
    try:
        return future.result(MODEL_SECONDS if source.startswith(HUB_PREFIX) else None)
    except TimeoutError as error:
        raise CheckpointError(texts.model_too_slow(name, MODEL_SECONDS)) from error


def _source(name: str) -> str:
    """The name by which `GenreModel` finds the model that a visitor names, which is never used as a path.

    Raises:
        CheckpointError: it is none of a model, or of one that is not offered.
    """
    if name in genre.available():
        return name
    on_hub = name.removeprefix(HUB_PREFIX)
    if MODELS is not None and on_hub not in MODELS:
        raise CheckpointError(texts.MODEL_NOT_LISTED)
    if not HUB_NAME.fullmatch(on_hub):
        raise CheckpointError(texts.NO_SUCH_MODEL)
    return HUB_PREFIX + on_hub
