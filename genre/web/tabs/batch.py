"""Tab for a batch: a folder or files are classified into a table; a click on a row shows the song in full."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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


def build(models: Models, model: gr.Dropdown, latest: gr.State) -> Dependency:
    """Lay out and wire the tab; returns the event that adds songs.

    Args:
        latest: receives the names of the songs in the list.
    """

    def add(files: list[tuple[str, str]], batch: Batch | None, name: str) -> dict:
        batch = batch or Batch(name)
        batch.add(files)
        return {uploads: None, state: batch, latest: [song.name for song in batch.songs]} | show(batch)

    def show(batch: Batch) -> dict:
        working, some = batch.working, bool(batch.songs)
        return {
            status: table.status(batch),
            rows: table.rows(batch),
            stop: gr.Button(visible=working),
            results: gr.Row(visible=some),
            detail: gr.Column(visible=some),
            **downloads.disabled(buttons),
            clear: gr.Button(interactive=not working),
        }

    def classify_songs(batch: Batch | None, request: gr.Request) -> Iterator[dict]:
        if batch is None:
            yield {stop: gr.skip()}  # without any output Gradio would clear all of them
            return
        try:
            for song in batch.take():
                yield show(batch)
                for seconds in _classify(models, batch, song, page_address(request)):
                    yield {status: table.status(batch, seconds)}
            yield show(batch)
            if batch.done and not batch.working:  # else another job is still classifying
                with suppress(OSError):  # the disk is full; the results are complete all the same
                    files = downloads.of_batch(batch.songs, batch.labels)
                    if batch.songs:  # else the list was cleared meanwhile
                        yield show(batch) | downloads.enabled(buttons, files)  # all: a browser may skip an update
        except genre.GenreError as error:
            batch.stop()
            yield show(batch) | {status: views.alert_box(str(error))}

    def choose(batch: Batch | None, click: gr.EventData) -> None:
        if song := batch and batch.at(click.row):
            batch.opened = song

    def open_chosen(batch: Batch | None) -> Iterator[dict]:
        if batch is None:  # the server was started again
            yield {prediction: views.error(texts.SONGS_GONE)}
            return
        if not batch.opened:
            yield {prediction: gr.skip()}
            return
        song = batch.opened
        yield {path: song.path, used: batch.model, prediction: _card(song, batch.labels), timeline: "", why: ""}
        if isinstance(song.result, AudioError):
            return
        if not Path(song.path).exists():
            yield {timeline: views.alert_box(texts.DELETED)}
            return
        try:
            classifier = models.get(batch.model)
            yield {timeline: views.blank_timeline(classifier.labels)}
            for result in stream_results(classifier, song.path):
                if batch.opened is not song:  # another row has been opened meanwhile
                    return
                yield {timeline: result.timeline}
        except genre.GenreError as error:
            yield {timeline: views.alert_box(str(error))}

    def again(batch: Batch | None, name: str) -> dict:
        """Classify the songs with another model, if it loads and they are still there."""
        if batch is None or name == batch.model:
            return {stop: gr.skip()}
        try:
            models.get(name)
        except genre.GenreError:  # the page says so below
            return {stop: gr.skip()}
        if not all(Path(song.path).exists() for song in batch.songs):
            batch.notice = texts.UPLOADS_GONE
            return {status: table.status(batch)}
        batch.start_over(name)
        closed = {prediction: table.PICK, timeline: "", why: ""}
        return {status: table.status(batch), stop: gr.Button(visible=batch.working)} | closed

    def give_up(batch: Batch | None) -> dict:
        """For a full queue: remove the songs that wait, unless another job is classifying them."""
        if batch is None or batch.current:
            return {stop: gr.skip()}
        batch.stop()
        return show(batch) | {status: views.alert_box(texts.BUSY)}

    def halt(batch: Batch | None) -> dict:
        if batch:
            batch.stop()
        return {stop: gr.Button(visible=False)}

    def empty(batch: Batch | None) -> dict:
        if batch:
            batch.clear()
        blank = {component: "" for component in (status, rows, timeline, why)}
        hidden = {results: gr.Row(visible=False), detail: gr.Column(visible=False)}
        return {state: None, path: None, prediction: table.PICK} | blank | hidden

    def shows(batch: Batch | None, path: str) -> bool:
        return bool(batch and batch.opened and batch.opened.path == path)

    state, path, used = gr.State(), gr.State(), gr.State()
    with gr.Column(elem_id="batch"):
        uploads = drop.build(
            texts.SONGS, texts.songs_more(MAX_SONGS, MAX_SECONDS), MAX_SONGS, zone="batch", field="songs-drop"
        )
        with gr.Row(elem_classes="working"):
            status = gr.HTML(min_height=0)
            stop = gr.Button(
                texts.STOP, visible=False, variant="stop", scale=0, min_width=96, elem_classes="ends-uploads"
            )
        rows = gr.HTML(js_on_load=(STATIC / "rows.js").read_text(encoding="utf-8"), min_height=0)
        with gr.Row(visible=False, elem_classes="downloads") as results:
            buttons = downloads.build(texts.BATCH_DOWNLOADS)
            clear = gr.Button(texts.CLEAR, size="sm", elem_classes="ends-uploads")
        with gr.Column(visible=False, elem_id="batch-song") as detail:
            prediction = gr.HTML(table.PICK)
            timeline, why = timeline_and_why(models, used, path, gr.State(0.0), state, shows)
            why.render()

    shown = [status, rows, stop, results, detail, *buttons, clear]
    added = uploads.upload(
        add, [uploads, state, model], [uploads, state, latest, *shown], trigger_mode="multiple", queue=False, **QUIET
    )
    changed = model.change(again, [state, model], [state, *shown, prediction, timeline, why], queue=False, **QUIET)
    for event in (added, changed):
        classified = event.then(
            classify_songs,
            state,
            shown,
            trigger_mode="multiple",
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=status,
        )
        classified.failure(give_up, state, shown, queue=False, **QUIET)
    stop.click(halt, state, stop, queue=False, **QUIET)
    clear.click(
        empty, state, [state, path, status, rows, results, detail, prediction, timeline, why], queue=False, **QUIET
    )
    chosen = rows.click(choose, state, queue=False, trigger_mode="multiple", **QUIET)
    opened = chosen.then(
        open_chosen, state, [path, used, prediction, timeline, why], trigger_mode="always_last", **QUIET
    )
    opened.failure(lambda: views.error(texts.BUSY), None, prediction, queue=False, **QUIET)
    return added


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
