"""A batch of songs, shared by the job that classifies them and the event handlers of the buttons."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genre.errors import AudioError
from genre.inference.prediction import Prediction
from genre.web.limits import MAX_SONGS


@dataclass(eq=False)
class Song:
    """A song of a batch.

    Attributes:
        path: of the upload.
        name: of the file on the visitor's machine.
        result: None until the song has been classified or could not be decoded.
        picture: file with the picture of the result; None where there is none.
    """

    path: str
    name: str
    result: Prediction | AudioError | None = None
    picture: Path | None = None


class Batch:
    """Songs in the order in which they were added.

    Attributes:
        model: name of the model that classifies them.
        labels: of the model that has classified songs last.
        songs: those with a result, then those that wait.
        current: the song that is being classified.
        opened: the song that is shown in full.
        too_many: whether files were left out since there were more than `MAX_SONGS`.
        unclassified: number of songs that a stop removed.
        notice: a sentence for the visitor.
    """

    def __init__(self, model: str):
        self.model = model
        self.labels: list[str] = []
        self.songs: list[Song] = []
        self.current: Song | None = None
        self.opened: Song | None = None
        self.unclassified, self.too_many, self.notice = 0, False, ""
        self._taken = False
        self._lock = threading.Lock()

    @property
    def done(self) -> list[Song]:
        """Songs with a result, also those that failed."""
        return [song for song in self.songs if song.result is not None]

    @property
    def failed(self) -> list[Song]:
        return [song for song in self.songs if isinstance(song.result, AudioError)]

    @property
    def working(self) -> bool:
        return any(song.result is None for song in self.songs)

    def add(self, files: list[tuple[str, str]]) -> None:
        """Append (path, name) of files, up to `MAX_SONGS` in all; they need not hold audio."""
        songs = [Song(path, name) for path, name in files]
        with self._lock:
            room = MAX_SONGS - len(self.songs)
            self.songs += songs[:room]
            self.unclassified, self.too_many, self.notice = 0, len(songs) > room, ""

    def stop(self) -> None:
        """Remove the songs without a result, also the one that is being classified."""
        with self._lock:
            self.unclassified += sum(song.result is None for song in self.songs)
            self.songs = self.done

    def clear(self) -> None:
        """Remove all songs, also for a job that still writes their files."""
        with self._lock:
            self.songs, self.opened, self.unclassified = [], None, 0

    def start_over(self, model: str) -> None:
        """Discard all results and set another model."""
        with self._lock:
            self.model, self.opened, self.notice = model, None, ""
            for song in self.songs:
                song.result = None

    def take(self) -> Iterator[Song]:
        """Yield the songs that wait, also those added meanwhile; nothing while another job takes them."""
        with self._lock:
            if self._taken:
                return
            self._taken = True
        try:
            while song := self._next():
                yield song
        except GeneratorExit:  # the visitor has left, or the job failed
            self.current, self._taken = None, False
            raise

    def _next(self) -> Song | None:
        with self._lock:
            self.current = next((song for song in self.songs if song.result is None), None)
            self._taken = self.current is not None
            return self.current

    def wants(self, song: Song, model: str) -> bool:
        """Whether the song is still in the list and the model still selected."""
        return self.model == model and song in self.songs

    def finish(self, song: Song, model: str, result: Prediction | AudioError, picture: Path | None) -> None:
        """Set result and picture of a song, unless it is no longer wanted from this model."""
        with self._lock:
            if self.wants(song, model):
                song.result, song.picture = result, picture

    def at(self, row: object) -> Song | None:
        """The song in a row, if it has a result; None for anything else that a browser may send."""
        songs = self.songs
        song = songs[row] if isinstance(row, int) and 0 <= row < len(songs) else None
        return song if song and song.result is not None else None
