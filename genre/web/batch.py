"""Tab for a batch: a folder or files are classified into a table; a click on a row shows the song in full.

The songs are a `Batch` in the state of the Gradio session, shared by the job that classifies them and the events.
"""

import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr
from gradio.events import Dependency
from PIL import Image

import genre
from genre.errors import AudioError
from genre.features.image import Spectrogram
from genre.inference import export
from genre.inference.export import LABEL_TRACK, PICTURE, colour, format_sections, label_track, unique_names
from genre.inference.prediction import Prediction, clock
from genre.web import QUIET, UNQUEUED, script, texts, uploads, views
from genre.web.limits import MAX_SONGS
from genre.web.models import Models
from genre.web.song import (
    SPREADSHEET,
    disabled,
    download_buttons,
    enabled,
    page_address,
    stream_results,
    timeline_and_why,
    write_windows_and_json,
)

GROUP = 5  # songs that are added at once, so that the first are classified while the others are sent


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


class BatchTab:
    """The tab.

    Args:
        model: component with the name of the model.
        described: event that follows a change of the model, once it has been loaded.
    """

    def __init__(self, models: Models, model: gr.Dropdown, described: Dependency):
        self.models = models
        self.state, self.path, self.used = gr.State(), gr.State(), gr.State()
        with gr.Column(elem_id="batch"):
            self.zone = uploads.zone_for_songs(
                texts.SONGS, texts.SONGS_MORE, MAX_SONGS, zone="batch", field="songs-drop", group=GROUP
            )
            with gr.Row(elem_classes="working"):
                self.status = gr.HTML(min_height=0)
                self.stop = uploads.stop_button()
            self.rows = gr.HTML(js_on_load=script("rows.js"), min_height=0)
            with gr.Row(visible=False, elem_classes="downloads") as self.results:
                self.buttons = download_buttons(texts.BATCH_DOWNLOADS)
                self.clear = gr.Button(texts.CLEAR, size="sm", elem_classes="ends-uploads")
            with gr.Column(visible=False, elem_id="batch-song") as self.detail:
                self.prediction = gr.HTML(views.PICK)
                self.timeline, self.why = timeline_and_why(
                    models, self.used, self.path, gr.State(0.0), self.state, _shows
                )
                self.why.render()
        shown = [self.status, self.rows, self.stop, self.results, self.detail, *self.buttons, self.clear]
        opened = [self.prediction, self.timeline, self.why]
        added = self.zone.dropped(
            self.add, [self.state, model], [self.state, *shown], trigger_mode="multiple", **UNQUEUED
        )
        changed = described.then(self.again, [self.state, model], [self.state, *shown, *opened], **UNQUEUED)
        for event in (added, changed):
            classified = event.then(
                self.classify_songs,
                self.state,
                shown,
                trigger_mode="multiple",
                api_visibility="private",
                show_progress="minimal",
                show_progress_on=self.status,
            )
            classified.failure(self.give_up, self.state, shown, **UNQUEUED)
        self.stop.click(self.halt, self.state, self.stop, **UNQUEUED)
        emptied = [self.state, self.path, self.status, self.rows, self.results, self.detail, *opened]
        self.clear.click(self.empty, self.state, emptied, **UNQUEUED)
        chosen = self.rows.click(self.choose, self.state, trigger_mode="multiple", **UNQUEUED)
        shows = chosen.then(
            self.open_chosen, self.state, [self.path, self.used, *opened], trigger_mode="always_last", **QUIET
        )
        shows.failure(lambda: views.error(texts.BUSY), None, self.prediction, **UNQUEUED)

    def add(self, batch: Batch | None, name: str, event: gr.EventData) -> dict:
        batch = batch or Batch(name)
        batch.add(uploads.dropped(event))
        return {self.state: batch} | self.show(batch)

    def show(self, batch: Batch) -> dict:
        working, some = batch.working, bool(batch.songs)
        return {
            self.status: status(batch),
            self.rows: rows(batch),
            self.stop: gr.Button(visible=working),
            self.results: gr.Row(visible=some),
            self.detail: gr.Column(visible=some),
            **disabled(self.buttons),
            self.clear: gr.Button(interactive=not working),
        }

    def classify_songs(self, batch: Batch | None, request: gr.Request) -> Iterator[dict]:
        if batch is None:
            yield gr.skip()
            return
        try:
            for song in batch.take():
                yield self.show(batch)
                for seconds in _classify(self.models, batch, song, page_address(request)):
                    yield {self.status: status(batch, seconds)}
            yield self.show(batch)
            if batch.done and not batch.working:  # else another job is still classifying
                with suppress(OSError):  # the disk is full; the results are complete all the same
                    files = batch_files(batch.songs, batch.labels)
                    if batch.songs:  # else the list was cleared meanwhile
                        # all of it: a browser may skip an update
                        yield self.show(batch) | enabled(self.buttons, files)
        except genre.GenreError as error:
            batch.stop()
            yield self.show(batch) | {self.status: views.alert_box(str(error))}

    def choose(self, batch: Batch | None, click: gr.EventData) -> None:
        if song := batch and batch.at(click.row):
            batch.opened = song

    def open_chosen(self, batch: Batch | None) -> Iterator[dict]:
        if batch is None:  # the server was started again
            yield {self.prediction: views.error(texts.SONGS_GONE)}
            return
        if not batch.opened:
            yield {self.prediction: gr.skip()}
            return
        song = batch.opened
        yield {
            self.path: song.path,
            self.used: batch.model,
            self.prediction: opened(song, batch.labels),
            self.timeline: "",
            self.why: "",
        }
        if isinstance(song.result, AudioError):
            return
        if not Path(song.path).exists():
            yield {self.timeline: views.alert_box(texts.DELETED)}
            return
        try:
            classifier = self.models.get(batch.model)
            yield {self.timeline: views.blank_timeline(classifier.labels)}
            for result in stream_results(classifier, song.path):
                if batch.opened is not song:  # another row has been opened meanwhile, or none
                    yield gr.skip()  # as in `SongTab.show`
                    return
                yield {self.timeline: result.timeline}
        except genre.GenreError as error:
            yield {self.timeline: views.alert_box(str(error))}

    def again(self, batch: Batch | None, name: str) -> dict:
        """Classify the songs with another model, if it loads and they are still there."""
        if batch is None or name == batch.model:
            return gr.skip()
        try:
            self.models.get(name)
        except genre.GenreError:  # the page says so below
            return gr.skip()
        if not all(Path(song.path).exists() for song in batch.songs):
            batch.notice = texts.UPLOADS_GONE
            return {self.status: status(batch)}
        batch.start_over(name)
        closed = {self.prediction: views.PICK, self.timeline: "", self.why: ""}
        return {self.status: status(batch), self.stop: gr.Button(visible=batch.working)} | closed

    def give_up(self, batch: Batch | None) -> dict:
        """For a full queue: remove the songs that wait, unless another job is classifying them."""
        if batch is None or batch.current:
            return gr.skip()
        batch.stop()
        return self.show(batch) | {self.status: views.alert_box(texts.BUSY)}

    def halt(self, batch: Batch | None) -> dict:
        if batch:
            batch.stop()
        return {self.stop: gr.Button(visible=False)}

    def empty(self, batch: Batch | None) -> dict:
        if batch:
            batch.clear()
        blank = {component: "" for component in (self.status, self.rows, self.timeline, self.why)}
        hidden = {self.results: gr.Row(visible=False), self.detail: gr.Column(visible=False)}
        return {self.state: None, self.path: None, self.prediction: views.PICK} | blank | hidden


def _shows(batch: Batch | None, path: str) -> bool:
    """Whether the recording with this path is the one that is shown in full."""
    return bool(batch and batch.opened and batch.opened.path == path)


def _classify(models: Models, batch: Batch, song: Song, address: str) -> Iterator[float]:
    """Set result and picture of a song; yields the seconds that have been classified so far.

    Args:
        address: of the page, for the picture.
    """
    name, classifier = batch.model, models.get(batch.model)
    batch.labels = classifier.labels
    result: genre.Prediction | AudioError | None = None
    spectrogram = Spectrogram(classifier.sample_rate)
    try:
        for result in classifier.stream(uploads.Upload(song.path), on_clip=spectrogram.add):
            yield result.seconds
            if not batch.wants(song, name):
                return
    except AudioError as error:
        result = error
    picture = None
    if isinstance(result, genre.Prediction) and batch.wants(song, name):
        with suppress(OSError):  # the disk is full
            picture = picture_of(song.name, result, spectrogram.image(), classifier.labels, address)
    if result:
        batch.finish(song, name, result, picture)


def opened(song: Song, labels: list[str]) -> str:
    """The name of a song above its prediction card."""
    if song.result is None:  # another model has been selected meanwhile
        return views.PICK
    if isinstance(song.result, AudioError):
        card = views.error(str(song.result))
    else:
        card = views.prediction_card(song.result, labels, views.coverage(song.result) + texts.COMPLETE)
    return f'<h2 class="opened">{escape(song.name)}</h2>{card}'


def status(batch: Batch, seconds: float = 0.0) -> str:
    """One line on the progress or the outcome, and a progress bar.

    Args:
        seconds: of the current song that have been classified.
    """
    done, total = len(batch.done), len(batch.songs)
    if not total and not batch.unclassified:
        return ""
    if batch.current and batch.working:
        so_far = clock(seconds) if seconds else ""
        line = texts.PROGRESS.format(done=done, total=total)
        more, attribute = texts.classifying(batch.current.name, so_far), " class=classifying"
    else:
        attribute = ""
        failed = sum(isinstance(song.result, AudioError) for song in batch.songs)
        line = texts.waiting(total - done) if done < total else texts.finished(done, failed)
        more = " ".join([*texts.left_out(batch.unclassified, batch.too_many and len(batch.songs)), batch.notice])
    return (
        f'<div class="progress"><p><b role="status">{escape(line)}</b> <bdi{attribute}>{escape(more)}</bdi></p>'
        f'<i aria-hidden="true" style="--fraction:{done / total if total else 0:.3f}"></i></div>'
    )


def rows(batch: Batch) -> str:
    """The table; a row with a result contains a button with its number as data-row."""
    if not batch.songs:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in texts.COLUMNS)
    body = "".join(_row(number, song, song is batch.current, batch.labels) for number, song in enumerate(batch.songs))
    return f'<div class="songs"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(number: int, song: Song, current: bool, labels: list[str]) -> str:
    name = f'<span class="name" title="{escape(song.name)}">{escape(song.name)}</span>'
    if song.result is None:
        kind, message = ("current", texts.CLASSIFYING) if current else ("waiting", texts.WAITING)
        return f'<tr class="{kind}"><th scope="row">{name}</th><td class="message" colspan="3">{message}</td></tr>'
    button = f'<th scope="row"><button type="button" data-row="{number}">{name}</button></th>'
    if isinstance(song.result, AudioError):
        return f'<tr class="failed">{button}<td class="message" colspan="3">{escape(str(song.result))}</td></tr>'
    return f'<tr class="classified">{button}{_prediction(song.result, labels)}</tr>'


def _prediction(prediction: Prediction, labels: list[str]) -> str:
    found = prediction.sections
    description = format_sections(found) + (f". {' '.join(prediction.notes)}" if prediction.notes else "")
    strip = "".join(
        f'<i style="--colour:{views.section_colour(one, labels)};'
        f'flex-grow:{(one.end - one.start) / prediction.seconds:.4f}"></i>'
        for one in found
    )
    return (
        f'<td class="genre"><i aria-hidden="true" style="--colour:{colour(prediction.genre, labels)}"></i>'
        f'<span>{escape(prediction.headline.text)}</span></td><td class="confidence">{prediction.confidence:.0%}</td>'
        f'<td class="sections"><div class="strip" aria-hidden="true">{strip}</div>{escape(description)}</td>'
    )


def picture_of(name: str, prediction: Prediction, spectrogram: Image.Image, labels: list[str], address: str) -> Path:
    """Draw the picture of a song of a batch into a file."""
    file = uploads.new_folder() / "picture.png"
    export.picture(prediction, labels, name, spectrogram, address).save(file)
    return file


def batch_files(songs: list[Song], labels: list[str]) -> list[Path | None]:
    """Write the files of a batch: two tables, JSON, and a zip of label tracks and pictures; None for an empty one."""
    names = "genres.csv", "windows.csv", "genres.json", "labels-and-pictures.zip"
    folder = uploads.new_folder()
    genres, windows, everything, archive = (folder / name for name in names)
    found = [(song.name, song.result) for song in songs if song.result]
    with genres.open("w", encoding=SPREADSHEET, newline="") as file:
        write = export.csv_writer(file, labels)
        for name, result in found:
            write(name, result)
    write_windows_and_json(found, labels, windows, everything)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for song, name in zip(songs, unique_names([song.name for song in songs]), strict=True):
            if isinstance(song.result, Prediction):
                out.writestr(name + LABEL_TRACK, label_track(song.result))
                if song.picture and song.picture.exists():  # else it has been deleted
                    out.write(song.picture, name + PICTURE, zipfile.ZIP_STORED)  # PNG is compressed already
        return [genres, windows, everything, archive if out.namelist() else None]
