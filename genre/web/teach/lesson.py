"""The songs that a visitor teaches, shared by the job that learns from them and the event handlers of the buttons."""

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import PurePosixPath

from genre.data.sources import genres_by_folder
from genre.errors import AudioError, DataError
from genre.files import clean_genre, one_spelling
from genre.inference.classify import Classifier
from genre.inference.embed import Embedding
from genre.training.folds import Song
from genre.training.probe import Probe
from genre.web.limits import MAX_TAUGHT_GENRES, MAX_TAUGHT_SONGS, MAX_TEACHERS
from genre.web.teach import texts


@dataclass(eq=False)
class TaughtSong:
    """A song of a lesson.

    Attributes:
        path: of the upload.
        name: of the file on the visitor's machine.
        genre: label.
        number: identifies the song in the table.
        artist, embedding: by `genre.training.folds.Song`, once it has been read.
        error: why it could not be read.
    """

    path: str
    name: str
    genre: str
    number: int = field(default_factory=count().__next__)
    artist: str = ""
    embedding: Embedding | None = None
    error: AudioError | None = None

    @property
    def is_read(self) -> bool:
        return self.embedding is not None or self.error is not None


class Lesson:
    """Songs with their genres, and what was learned from them.

    Attributes:
        base: name of the model that computes the features; None before the first song is read.
        digest: of its checkpoint.
        songs: in the order in which they were added.
        current: the song that is being read.
        working: whether a job is learning.
        stopped: whether it was asked to stop.
        probe: what was learned from these songs; None before, and once they change.
        classifier: the model that was learned last, which the visitor may still use then.
        model: its name in `genre.web.models.Models`.
        message: a sentence for the visitor.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.working = self.stopped = False
        self.forget()

    def forget(self, message: str = "") -> None:
        """Delete songs, features and model; uploads are deleted within the hour, as two visitors' may be one file."""
        self.base: str | None = None
        self.digest = ""
        self.songs: list[TaughtSong] = []
        self.current: TaughtSong | None = None
        self.probe: Probe | None = None
        self.classifier: Classifier | None = None
        self.model: str | None = None
        self.message = message

    @property
    def genres(self) -> list[str]:
        return sorted({song.genre for song in self.songs})

    @property
    def examples(self) -> list[Song]:
        """The songs with features, for `genre.training.probe`."""
        return [Song(one.name, one.genre, one.artist, one.embedding) for one in self.songs if one.embedding]

    def add(self, files: list[tuple[str, str]], genre: str) -> None:
        """Add (path, name) of files; sets the message if some are left out.

        Args:
            genre: of all of them; where it is empty, the folder of each in its name is its genre.
        """
        with self._lock:
            forgotten = self.message if self.message == texts.FORGOTTEN else ""
            try:
                found, message = sort_files(files, genre)
            except DataError as error:
                found, message = [], str(error)
            self.message = message or forgotten  # that the songs dropped before are gone
            spelling = one_spelling([*self.genres, *(one.genre for one in found)])
            for one in found:  # "jazz" is "Jazz" if that came first
                one.genre = spelling[one.genre]
            genres = list(dict.fromkeys([*self.genres, *(one.genre for one in found)]))
            allowed = [song for song in found if song.genre in genres[:MAX_TAUGHT_GENRES]]
            taken = allowed[: MAX_TAUGHT_SONGS - len(self.songs)]
            if len(genres) > MAX_TAUGHT_GENRES:
                self.message = texts.too_many_genres(MAX_TAUGHT_GENRES)
            elif len(taken) < len(allowed):
                self.message = texts.too_many_songs(MAX_TAUGHT_SONGS)
            if taken:
                self.songs, self.probe = self.songs + taken, None

    def move(self, number: object, genre: object) -> None:
        """Give a song another genre that there is; anything else that a browser may send changes nothing."""
        with self._lock:
            for song in self.songs:
                if song.number == number and isinstance(genre, str) and genre in self.genres:
                    song.genre, self.probe, self.message = genre, None, ""

    def remove(self, number: object) -> None:
        with self._lock:
            for song in self.songs:
                if song.number == number:
                    self.songs = [one for one in self.songs if one is not song]
                    self.probe, self.message = None, ""

    def start(self, base: str, digest: str) -> bool:
        """Whether the caller may learn from the songs now; False while another job does.

        Args:
            base: name of the model to learn from.
            digest: of its checkpoint.

        Raises:
            DataError: some songs were read with another one.
        """
        with self._lock:
            if self.working:
                return False
            if self.base is not None and any(song.embedding for song in self.songs):
                if self.base != base:
                    raise DataError(texts.other_base(self.base))
                if self.digest != digest:
                    raise DataError(texts.BASE_CHANGED)
            self.base, self.digest, self.working, self.stopped, self.message = base, digest, True, False, ""
            return True

    def learned(self, probe: Probe, classifier: Classifier, model: str, songs: list[TaughtSong]) -> None:
        """Set what was learned from these songs; without the probe if they are no longer those of the lesson."""
        with self._lock:
            self.classifier, self.model = classifier, model
            self.probe = probe if self.songs is songs else None

    def take(self) -> Iterator[TaughtSong]:
        """Yield the songs that have not been read, also those that are added meanwhile, until a stop."""
        try:
            while not self.stopped and (song := next((one for one in self.songs if not one.is_read), None)):
                self.current = song
                yield song
        finally:
            self.current = None


def sort_files(files: list[tuple[str, str]], genre: str) -> tuple[list[TaughtSong], str]:
    """Songs with the genres of their folders, and a sentence if files were left out.

    A single folder has a sub-folder for each genre; of several folders, each is a genre. Of folders for training,
    validation and test (see `genre.data.sources.genres_by_folder`), those for test are left out.

    Args:
        files: (path, name); names have the folders that were chosen in front.
        genre: of all files; empty to use the folders.

    Raises:
        DataError: there is neither, or a name is no genre's.
    """
    if genre.strip():
        label = clean_genre(genre)
        return [TaughtSong(path, PurePosixPath(name).name, label) for path, name in files], ""
    parts = [PurePosixPath(name).parts for _, name in files]
    depth = 1 if len({one[0] for one in parts if len(one) > 1}) == 1 else 0
    places = genres_by_folder([one[depth:-1] for one in parts])
    if files and not any(places):
        raise DataError(texts.NO_SUB_FOLDERS if any(len(one) > 1 for one in parts) else texts.NO_GENRE)
    placed = [(path, one[-1], *place) for (path, _), one, place in zip(files, parts, places, strict=True) if place]
    songs = [TaughtSong(path, name, clean_genre(folder)) for path, name, folder, split in placed if split != "test"]
    messages = [
        *([texts.outside(len(files) - len(placed))] if len(placed) < len(files) else []),
        *([texts.for_test(len(placed) - len(songs))] if len(songs) < len(placed) else []),
    ]
    return songs, " ".join(messages)


class Lessons:
    """The lessons that hold features or a model: the `MAX_TEACHERS` that were used last."""

    def __init__(self) -> None:
        self._recent: list[weakref.ref[Lesson]] = []
        self._lock = threading.Lock()

    def use(self, lesson: Lesson) -> None:
        """Mark a lesson as used; of more than `MAX_TEACHERS` delete the content of the least recently used.

        A lesson that a job is learning from is never deleted.
        """
        with self._lock:
            others = [one for one in self._recent if one() not in (None, lesson)]
            self._recent = [*others, weakref.ref(lesson)]
            for one in others[: max(0, len(self._recent) - MAX_TEACHERS)]:
                if (oldest := one()) and not oldest.working:
                    oldest.forget(texts.FORGOTTEN)
                    self._recent.remove(one)
