"""Several songs on their way through a model, shared by the job that hears them and the buttons beside it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from genre.errors import AudioError
from genre.inference.classify import Prediction
from genre.web.limits import MAX_SONGS


@dataclass(eq=False)
class Song:
    """A file under the name that its owner gave it, and what came of it; None while it waits."""

    path: str
    name: str
    result: Prediction | AudioError | None = None


class Batch:
    """Songs in the order in which they came.

    Attributes:
        model: name of the model that hears them.
        songs: those that were heard, then those that wait.
        now: the one that is listened to.
        opened: the one that is shown in full.
        too_many: whether files were left out since there were more than `MAX_SONGS`.
        unheard: how many songs a stop left unheard.
    """

    def __init__(self, model: str):
        self.model = model
        self.songs: list[Song] = []
        self.now: Song | None = None
        self.opened: Song | None = None
        self.unheard, self.too_many = 0, False
        self._taken = False
        self._lock = threading.Lock()

    @property
    def heard(self) -> list[Song]:
        return [song for song in self.songs if song.result is not None]

    @property
    def failed(self) -> list[Song]:
        return [song for song in self.songs if isinstance(song.result, AudioError)]

    @property
    def working(self) -> bool:
        return any(song.result is None for song in self.songs)

    def add(self, files: list[tuple[str, str]]) -> None:
        """Append (path, name) of files; whether they hold sound is for the decoder to say."""
        songs = [Song(path, name) for path, name in files]
        with self._lock:
            room = MAX_SONGS - len(self.songs)
            self.songs += songs[:room]
            self.unheard, self.too_many = 0, len(songs) > room

    def stop(self) -> None:
        """Let go of the songs that wait, the one that is listened to among them."""
        with self._lock:
            self.unheard += sum(song.result is None for song in self.songs)
            self.songs = self.heard

    def start_over(self, model: str) -> None:
        """Have every song wait for another model."""
        with self._lock:
            self.model = model
            for song in self.songs:
                song.result = None

    def take(self) -> Iterator[Song]:
        """The songs that wait, one by one, those among them that come later; none while another job takes them."""
        with self._lock:
            if self._taken:
                return
            self._taken = True
        try:
            while song := self._next():
                yield song
        except GeneratorExit:  # the visitor has left, or the job failed
            self.now, self._taken = None, False
            raise

    def _next(self) -> Song | None:
        with self._lock:
            self.now = next((song for song in self.songs if song.result is None), None)
            self._taken = self.now is not None
            return self.now

    def wants(self, song: Song, model: str) -> bool:
        """Whether the verdict of that model on that song is still waited for."""
        return self.model == model and song in self.songs

    def at(self, row: object) -> Song | None:
        """The song in a row that a browser asks about, if it has been heard."""
        songs = self.songs
        song = songs[row] if isinstance(row, int) and 0 <= row < len(songs) else None
        return song if song and song.result is not None else None
