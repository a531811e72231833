"""Tab that learns other genres from a visitor's songs; the result is a model of this visitor alone.

The songs and what was learned from them are a `Lesson` in the state of the Gradio session, shared by the job that
learns and the events.
"""

import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr

import genre
from genre.data.sources import genres_by_folder
from genre.errors import AudioError, DataError
from genre.files import clean_genre, one_spelling
from genre.hub.card import write_card
from genre.inference.classify import Classifier
from genre.inference.export import colour
from genre.models.model import GenreModel
from genre.training.probe import Embedding, Probe, Song, embed, fit_probe, probe_model
from genre.web import UNQUEUED, script, texts, uploads, views
from genre.web.limits import MAX_LESSONS, MAX_TAUGHT_GENRES, MAX_TAUGHT_SECONDS, MAX_TAUGHT_SONGS
from genre.web.models import TAUGHT_PREFIX, Models

NAME = "my-genres"  # of the checkpoint
SOURCE = "songs"  # in its metrics.json, in place of the visitor's folder
COMMAND = f"python train.py --data {SOURCE} --from {{base}} --mode probe --out checkpoints/{NAME}"
MOST_CONTRADICTED = 5  # songs that are listed


@dataclass(eq=False)
class TaughtSong:
    """A song of a lesson.

    Attributes:
        path: of the upload.
        name: of the file on the visitor's machine.
        genre: label.
        number: identifies the song in the table.
        artist, embedding: by `genre.training.probe.Song`, once it has been read.
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
        self.model = ""
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
                self.message = texts.TOO_MANY_GENRES.format(most=MAX_TAUGHT_GENRES)
            elif len(taken) < len(allowed):
                self.message = texts.TOO_MANY_TAUGHT.format(most=MAX_TAUGHT_SONGS)
            if taken:
                self.songs, self.probe = self.songs + taken, None

    def change(self, number: object, genre: object) -> None:
        """Give a song another genre that there is, or remove it (None); anything else changes nothing."""
        with self._lock:
            song = next((one for one in self.songs if one.number == number), None)
            if song and genre is None:
                self.songs = [one for one in self.songs if one is not song]
            elif song and isinstance(genre, str) and genre in self.genres:
                song.genre = genre
            else:
                return
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
                    raise DataError(texts.OTHER_BASE.format(name=self.base))
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
        *([texts.outside_of_folders(len(files) - len(placed))] if len(placed) < len(files) else []),
        *([texts.left_for_test(len(placed) - len(songs))] if len(songs) < len(placed) else []),
    ]
    return songs, " ".join(messages)


class Lessons:
    """The lessons that hold features or a model: the `MAX_LESSONS` that were used last."""

    def __init__(self) -> None:
        self._recent: list[weakref.ref[Lesson]] = []
        self._lock = threading.Lock()

    def use(self, lesson: Lesson) -> None:
        """Mark a lesson as used; of more than `MAX_LESSONS` delete the content of the least recently used.

        A lesson that a job is learning from is never deleted.
        """
        with self._lock:
            others = [one for one in self._recent if one() not in (None, lesson)]
            self._recent = [*others, weakref.ref(lesson)]
            for one in others[: max(0, len(self._recent) - MAX_LESSONS)]:
                if (oldest := one()) and not oldest.working:
                    oldest.forget(texts.FORGOTTEN)
                    self._recent.remove(one)


class TeachTab:
    """The tab.

    Args:
        model: component with the name of the model, in which the one that is made is chosen.
    """

    def __init__(self, models: Models, model: gr.Dropdown):
        self.models, self.model, self.lessons = models, model, Lessons()
        self.state = gr.State(delete_callback=lambda lesson: lesson and lesson.forget())
        with gr.Column(elem_id="teach"):
            gr.HTML(f"<p>{texts.TEACH_INTRO}</p>", elem_classes="teach-intro", padding=False)
            self.genre_name = gr.Textbox(
                label=texts.TEACH_GENRE,
                info=texts.TEACH_GENRE_MORE,
                placeholder=texts.TEACH_GENRE_EXAMPLE,
                max_lines=1,
                max_length=200,
            )
            self.zone = uploads.zone_for_songs(
                texts.TEACH_SONGS, texts.TEACH_MORE, MAX_TAUGHT_SONGS, zone="teach", field="taught-drop"
            )
            with gr.Row(elem_classes="working"):
                self.status = gr.HTML(min_height=0)
                self.stop = uploads.stop_button()
                self.train = gr.Button(texts.TRAIN, visible=False, variant="primary", scale=0, min_width=96)
            self.result = gr.HTML(min_height=0, visible=False)
            with gr.Row(visible=False, elem_classes="downloads") as self.files:
                self.download = gr.DownloadButton(texts.TEACH_DOWNLOAD, visible=False, size="sm")
                self.clear = gr.Button(texts.TEACH_CLEAR, size="sm", elem_classes="ends-uploads")
            self.table = gr.HTML(js_on_load=script("taught.js"), min_height=0)
        many: dict[str, Any] = {"trigger_mode": "multiple", **UNQUEUED}
        shown = [self.status, self.table, self.result, self.train, self.stop, self.files, self.download]
        self.zone.dropped(self.add, [self.genre_name, self.state], [self.state, *shown], **many)
        self.table.input(self.change, self.state, shown, **many)
        learned = self.train.click(
            self.learn_songs,
            [self.state, self.model],
            [*shown, self.model],
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=self.status,
        )
        learned.failure(lambda: views.alert_box(texts.BUSY), None, self.status, **UNQUEUED)
        self.stop.click(self.halt, self.state, self.stop, **UNQUEUED)
        self.clear.click(self.empty, [self.state, self.model], [*shown, self.model], **UNQUEUED)

    def add(self, genre_name: str, lesson: Lesson | None, event: gr.EventData) -> dict:
        lesson = lesson or Lesson()
        self.lessons.use(lesson)
        lesson.add(uploads.dropped(event), genre_name)
        return {self.state: lesson} | self.show(lesson)

    def show(self, lesson: Lesson) -> dict:
        some, idle, taught_one = bool(lesson.songs), not lesson.working, lesson.classifier is not None
        unread = not all(song.is_read for song in lesson.songs)  # the fit itself takes seconds and is not stopped
        return {
            self.status: status(lesson),
            self.table: table(lesson),
            self.result: gr.HTML(result(lesson), visible=lesson.probe is not None),
            self.files: gr.Row(visible=(some or taught_one) and idle),
            self.train: gr.Button(visible=some and idle),
            self.stop: gr.Button(visible=lesson.working and unread),
            self.download: gr.DownloadButton(visible=taught_one),
        }

    def change(self, lesson: Lesson | None, event: gr.EventData) -> dict:
        """Move a song to the genre of the event, or remove it if the event has none."""
        if lesson is None:
            return self.gone()
        if lesson.working:
            return gr.skip()
        lesson.change(event.song, event.genre)
        return self.show(lesson)

    def gone(self) -> dict:
        """For a session that the server no longer has, since it was started again."""
        lesson = Lesson()
        lesson.message = texts.SONGS_GONE
        return self.show(lesson)

    def learn_songs(self, lesson: Lesson | None, name: str) -> Iterator[dict]:
        if lesson is None:
            yield self.gone()
            return
        if not lesson.songs:
            yield {self.status: views.alert_box(lesson.message or texts.NO_SONGS), self.table: ""}
            return
        try:
            taught_one = (name or "").startswith(TAUGHT_PREFIX)  # it is no base: its networks are those of another one
            base = (lesson.base if taught_one else name) or self.models.first
            classifier = self.models.get(base)
            if not lesson.start(base, classifier.model.digest):
                yield gr.skip()
                return
        except genre.GenreError as error:
            yield {self.status: views.alert_box(str(error))}
            return
        yield from self.work(lesson, classifier)

    def work(self, lesson: Lesson, classifier: genre.Classifier) -> Iterator[dict]:
        chosen: dict[gr.components.Component, gr.components.Component] = {}
        try:
            self.lessons.use(lesson)
            while not (lesson.stopped or chosen):
                for song in lesson.take():
                    yield self.show(lesson)
                    read_song(classifier, song)
                yield self.show(lesson)
                archive = None if lesson.stopped else learn(lesson, self.models)
                if archive and lesson.probe:  # else songs were added meanwhile, or it was stopped
                    own = texts.MY_MODEL.format(genres=", ".join(lesson.probe.genres)), lesson.model
                    chosen[self.model] = gr.Dropdown(choices=[*self.models.names, own], value=lesson.model)
                    chosen[self.download] = gr.DownloadButton(value=archive, visible=True)
            if not chosen:
                lesson.message = texts.TEACH_STOPPED
        except genre.GenreError as error:
            lesson.message = str(error)
        except OSError:
            lesson.message = texts.NO_DISK
        except GeneratorExit:  # the visitor has left
            lesson.forget()
            raise
        finally:
            lesson.working = False
        yield self.show(lesson) | chosen

    def halt(self, lesson: Lesson | None) -> dict:
        if lesson:
            lesson.stopped = True
        return {self.stop: gr.Button(visible=False)}

    def empty(self, lesson: Lesson | None, name: str) -> dict:
        lesson = lesson or Lesson()
        if lesson.working:
            return gr.skip()
        lesson.forget()
        taught = (name or "").startswith(TAUGHT_PREFIX)
        fewer = gr.Dropdown(choices=self.models.names, value=self.models.first if taught else name)
        return self.show(lesson) | {self.model: fewer}


def read_song(classifier: Classifier, song: TaughtSong) -> None:
    """Set artist and features of a song, or the error."""
    upload = uploads.Upload(song.path)
    try:
        song.embedding = embed(classifier, upload, MAX_TAUGHT_SECONDS)
        song.artist = upload.tags.artist
    except AudioError as error:
        song.error = error


def learn(lesson: Lesson, models: Models) -> Path:
    """Fit the songs that have been read; sets the lesson's result, unless songs were added meanwhile.

    Returns:
        the zip of the model's checkpoint, in the folder of uploads, where files are deleted within the hour.

    Raises:
        GenreError: the songs cannot be learned from, or the base model is no longer there.
    """
    name = lesson.base or models.first
    base = models.read(name)
    if base.digest != lesson.digest:
        raise DataError(texts.BASE_CHANGED)
    songs = lesson.songs
    probe = fit_probe(lesson.examples, base)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / NAME
        probe_model(base, probe, SOURCE, COMMAND.format(base=models.public_source(name))).save_pretrained(folder)
        write_card(folder)
        archive = shutil.make_archive(str(uploads.new_folder() / NAME), "zip", work, NAME)
        classifier = Classifier(GenreModel.from_pretrained(folder, for_inference=True))
    lesson.learned(probe, classifier, models.add_taught(classifier), songs)
    return Path(archive)


def status(lesson: Lesson) -> str:
    """One line on the progress, a bar while songs are read, and the message."""
    done, total = sum(song.is_read for song in lesson.songs), len(lesson.songs)
    if not total:
        return views.alert_box(lesson.message) if lesson.message else ""
    if not lesson.working:
        line = texts.collected(total, len(lesson.genres))
        message = views.alert_box(lesson.message) if lesson.message else ""
        return f'<div class="progress"><p role="status"><b>{escape(line)}</b></p></div>{message}'
    line = texts.SONGS_READ.format(done=done, total=total)
    more = texts.READING_NOW.format(name=lesson.current.name) if lesson.current else texts.FITTING
    return (
        f'<div class="progress"><p role="status"><b>{escape(line)}</b> <span class="classifying">{escape(more)}</span>'
        f'</p><i aria-hidden="true" style="--fraction:{done / total:.3f}"></i></div>'
    )


def table(lesson: Lesson) -> str:
    """A row a song, with a menu that moves it to another genre and a button that removes it."""
    if not lesson.songs:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in texts.TEACH_COLUMNS)
    genres = lesson.genres
    songs = sorted(lesson.songs, key=lambda song: genres.index(song.genre))
    body = "".join(_row(song, genres, lesson) for song in songs)
    return f'<div class="songs taught"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(song: TaughtSong, genres: list[str], lesson: Lesson) -> str:
    name, off = escape(song.name), " disabled" if lesson.working else ""
    label = escape(texts.GENRE_OF.format(name=song.name))
    options = "".join(
        f"<option{' selected' if genre == song.genre else ''}>{escape(genre)}</option>" for genre in genres
    )
    kind, state = ("read", texts.READ) if song.embedding else ("waiting", texts.WAITING)
    if song is lesson.current:
        kind, state = "current", texts.READING
    elif song.error:
        kind, state = "failed", str(song.error)
    return (
        f'<tr class="{kind}"><th scope="row"><span class="name" title="{name}">{name}</span></th>'
        f'<td class="genre"><i aria-hidden="true" style="--colour:{colour(song.genre, genres)}"></i>'
        f'<select data-song="{song.number}" aria-label="{label}"{off}>{options}</select></td>'
        f'<td class="message">{escape(state)}</td>'
        f'<td class="remove"><button type="button" data-song="{song.number}" '
        f'aria-label="{escape(texts.REMOVE.format(name=song.name))}"{off}>×</button></td></tr>'
    )


def result(lesson: Lesson) -> str:
    """Accuracy with its interval, songs by genre, those that the others contradict most, and what was left out."""
    probe = lesson.probe
    if probe is None:
        return ""
    unread = [texts.UNREAD.format(name=song.name, reason=song.error) for song in lesson.songs if song.error]
    track, total = probe.figures["track"], len(probe.songs)
    counts = track["confusion"]["counts"]
    right = sum(counts[i][i] for i in range(len(counts)))
    headline, interval = texts.taught_score(right, total, *track["top1_interval_95"])
    largest = max(probe.genres, key=lambda genre: sum(counts[probe.genres.index(genre)]))
    share = sum(counts[probe.genres.index(largest)]) / total
    method = texts.TAUGHT_METHOD.format(folds=probe.folds, largest=largest, share=share)
    notes = "".join(f"<p>{escape(sentence)}</p>" for sentence in [*unread, *probe.left_out, *probe.caveats])
    return (
        f'<div class="learned" role="status"><h2>{escape(headline)}</h2><p class="interval">{escape(interval)}</p>'
        f"<p>{escape(method)}</p>{notes}{_confusion(probe.genres, counts)}{_contradicted(probe)}"
        f"<p>{escape(texts.TEACH_CHOSEN)}</p></div>"
    )


def _confusion(genres: list[str], counts: list[list[int]]) -> str:
    """Songs by their genre, a row each, and the genre that they got, a column each; darker for more of the row."""
    head = "".join(f'<th scope="col" title="{escape(genre)}">{escape(genre)}</th>' for genre in genres)
    rows = "".join(
        f'<tr><th scope="row" title="{escape(genre)}">{escape(genre)}</th>'
        + "".join(f'<td style="--share:{count / max(1, sum(row)):.2f}">{count}</td>' for count in row)
        + f"<td>{row[i] / max(1, sum(row)):.0%}</td></tr>"
        for i, (genre, row) in enumerate(zip(genres, counts, strict=True))
    )
    return (
        f'<p class="caption">{texts.CONFUSION}</p><div class="confusion" role="region" tabindex="0" '
        f'aria-label="{texts.CONFUSION}"><table><thead><tr>'
        f'<th scope="col">{texts.OWN_GENRE}</th>{head}<th scope="col">{texts.RIGHT}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _contradicted(probe: Probe) -> str:
    found = probe.contradicted()[:MOST_CONTRADICTED]
    if not found:
        return f"<p>{texts.NO_CONTRADICTION}</p>"
    items = "".join(
        f"<li><b>{escape(song.name)}</b>, {escape(song.genre)}: "
        f"{escape(texts.GOT.format(predicted=predicted, p=p))}</li>"
        for song, predicted, p in found
    )
    return f"<h3>{texts.LISTEN}</h3><p>{texts.LISTEN_MORE}</p><ul>{items}</ul>"
