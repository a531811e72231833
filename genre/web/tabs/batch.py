"""Tab for a batch: a folder or files are classified into a table; a click on a row shows the song in full."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

import genre
from genre.errors import AudioError
from genre.features.image import Spectrogram
from genre.web import QUIET, STATIC, texts, views
from genre.web.limits import MAX_SECONDS, MAX_SONGS
from genre.web.models import Models
from genre.web.snippets import page_address
from genre.web.tabs import downloads, drop, table
from genre.web.tabs.queue import Batch, Song
from genre.web.tabs.result import stream_results, timeline_and_why

GROUP = 5  # songs that are added at once, so that the first are classified while the others are sent


def build(models: Models, model: gr.Dropdown, latest: gr.State) -> Dependency:
    """Lay out and wire the tab; returns the event that adds songs.

    Args:
        latest: receives the names of the songs in the list.
    """
    return _Tab(models, model, latest).wire()


class _Tab:
    """The components of the tab, and the handlers of their events, which return what changes of them."""

    def __init__(self, models: Models, model: gr.Dropdown, latest: gr.State):
        self.models, self.model, self.latest = models, model, latest
        self.state, self.path, self.used = gr.State(), gr.State(), gr.State()
        with gr.Column(elem_id="batch"):
            more = texts.songs_more(MAX_SONGS, MAX_SECONDS)
            self.zone = drop.build(texts.SONGS, more, MAX_SONGS, zone="batch", field="songs-drop", group=GROUP)
            with gr.Row(elem_classes="working"):
                self.status = gr.HTML(min_height=0)
                self.stop = gr.Button(
                    texts.STOP, visible=False, variant="stop", scale=0, min_width=96, elem_classes="ends-uploads"
                )
            self.rows = gr.HTML(js_on_load=(STATIC / "rows.js").read_text(encoding="utf-8"), min_height=0)
            with gr.Row(visible=False, elem_classes="downloads") as self.results:
                self.buttons = downloads.build(texts.BATCH_DOWNLOADS)
                self.clear = gr.Button(texts.CLEAR, size="sm", elem_classes="ends-uploads")
            with gr.Column(visible=False, elem_id="batch-song") as self.detail:
                self.prediction = gr.HTML(table.PICK)
                self.timeline, self.why = timeline_and_why(
                    models, self.used, self.path, gr.State(0.0), self.state, _shows
                )
                self.why.render()

    def wire(self) -> Dependency:
        """Connect the events; returns the one that adds songs."""
        unqueued: dict[str, Any] = {"queue": False, **QUIET}
        shown = [self.status, self.rows, self.stop, self.results, self.detail, *self.buttons, self.clear]
        opened = [self.prediction, self.timeline, self.why]
        added = self.zone.dropped(
            self.add,
            [self.state, self.model],
            [self.state, self.latest, *shown],
            trigger_mode="multiple",
            **unqueued,
        )
        changed = self.model.change(self.again, [self.state, self.model], [self.state, *shown, *opened], **unqueued)
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
            classified.failure(self.give_up, self.state, shown, **unqueued)
        self.stop.click(self.halt, self.state, self.stop, **unqueued)
        emptied = [self.state, self.path, self.status, self.rows, self.results, self.detail, *opened]
        self.clear.click(self.empty, self.state, emptied, **unqueued)
        chosen = self.rows.click(self.choose, self.state, trigger_mode="multiple", **unqueued)
        shows = chosen.then(
            self.open_chosen, self.state, [self.path, self.used, *opened], trigger_mode="always_last", **QUIET
        )
        shows.failure(lambda: views.error(texts.BUSY), None, self.prediction, **unqueued)
        return added

    def add(self, batch: Batch | None, name: str, event: gr.EventData) -> dict:
        batch = batch or Batch(name)
        batch.add(drop.files(event))
        names = [song.name for song in batch.songs]
        return {self.state: batch, self.latest: names} | self.show(batch)

    def show(self, batch: Batch) -> dict:
        working, some = batch.working, bool(batch.songs)
        return {
            self.status: table.status(batch),
            self.rows: table.rows(batch),
            self.stop: gr.Button(visible=working),
            self.results: gr.Row(visible=some),
            self.detail: gr.Column(visible=some),
            **downloads.disabled(self.buttons),
            self.clear: gr.Button(interactive=not working),
        }

    def classify_songs(self, batch: Batch | None, request: gr.Request) -> Iterator[dict]:
        if batch is None:
            yield {self.stop: gr.skip()}  # without any output Gradio would clear all of them
            return
        try:
            for song in batch.take():
                yield self.show(batch)
                for seconds in _classify(self.models, batch, song, page_address(request)):
                    yield {self.status: table.status(batch, seconds)}
            yield self.show(batch)
            if batch.done and not batch.working:  # else another job is still classifying
                with suppress(OSError):  # the disk is full; the results are complete all the same
                    files = downloads.of_batch(batch.songs, batch.labels)
                    if batch.songs:  # else the list was cleared meanwhile
                        # all of it: a browser may skip an update
                        yield self.show(batch) | downloads.enabled(self.buttons, files)
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
            self.prediction: _card(song, batch.labels),
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
                if batch.opened is not song:  # another row has been opened meanwhile
                    return
                yield {self.timeline: result.timeline}
        except genre.GenreError as error:
            yield {self.timeline: views.alert_box(str(error))}

    def again(self, batch: Batch | None, name: str) -> dict:
        """Classify the songs with another model, if it loads and they are still there."""
        if batch is None or name == batch.model:
            return {self.stop: gr.skip()}
        try:
            self.models.get(name)
        except genre.GenreError:  # the page says so below
            return {self.stop: gr.skip()}
        if not all(Path(song.path).exists() for song in batch.songs):
            batch.notice = texts.UPLOADS_GONE
            return {self.status: table.status(batch)}
        batch.start_over(name)
        closed = {self.prediction: table.PICK, self.timeline: "", self.why: ""}
        return {self.status: table.status(batch), self.stop: gr.Button(visible=batch.working)} | closed

    def give_up(self, batch: Batch | None) -> dict:
        """For a full queue: remove the songs that wait, unless another job is classifying them."""
        if batch is None or batch.current:
            return {self.stop: gr.skip()}
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
        return {self.state: None, self.path: None, self.prediction: table.PICK} | blank | hidden


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
        for result in classifier.stream(song.path, on_clip=spectrogram.add):
            yield result.seconds
            if not batch.wants(song, name):
                return
    except AudioError as error:
        result = error
    picture = None
    if isinstance(result, genre.Prediction) and batch.wants(song, name):
        with suppress(OSError):  # the disk is full
            picture = downloads.picture_of(song.name, result, spectrogram.image(), classifier.labels, address)
    if result:
        batch.finish(song, name, result, picture)


def _card(song: Song, labels: list[str]) -> str:
    if song.result is None:  # another model has been selected meanwhile
        return table.PICK
    if isinstance(song.result, AudioError):
        card = views.error(str(song.result))
    else:
        card = views.prediction_card(song.result, labels, views.coverage(song.result) + texts.COMPLETE)
    return table.opened(song.name, card)
