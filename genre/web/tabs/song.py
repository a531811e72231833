"""Tab for one song: drop or record it, see its prediction and its timeline."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gradio as gr

import genre
from genre.models.locations import SHIPPED
from genre.web import QUIET, STATIC, texts, views
from genre.web.limits import MAX_FILE_SIZE
from genre.web.models import Models
from genre.web.snippets import page_address
from genre.web.tabs import downloads
from genre.web.tabs.result import Result, stream_results, timeline_and_why

EXAMPLES = {
    "Drum loop": "drum_loop.mp3",
    "Arpeggio": "arpeggio.mp3",
    "Strummed chords": "strummed_chords.mp3",
}
EXAMPLES_FOLDER = SHIPPED.parent / "examples"


def build(models: Models, model: gr.Dropdown) -> gr.Audio:
    """Lay out and wire the tab; returns the audio component, to which other tabs may send a recording."""

    def ask(path: str | None, name: str, overlap: float, latest: list) -> dict:
        """The card while the job is in the queue; ends a job for another song, model or overlap."""
        latest[:] = [path, name, overlap]
        return {song: gr.Audio(label=Path(path).name if path else texts.SONG)} | waiting(path)

    def waiting(path: str | None) -> dict:
        return {prediction: views.CLASSIFYING if path else views.EMPTY} | downloads.disabled(buttons)

    def show(path: str | None, name: str, overlap: float, latest: list, request: gr.Request) -> Iterator[dict]:
        """Prediction card, timeline, an empty explanation, and the downloads at the end."""
        labels = []
        try:
            classifier = models.get(name)
            labels = classifier.labels
            yield waiting(path) | {timeline: views.blank_timeline(labels), why: ""}
            if not path:
                return
            files: dict | None = None
            for result in stream_results(classifier, path, overlap):
                if latest and latest != [path, name, overlap]:  # the visitor has asked for another one meanwhile
                    return
                shown = {prediction: result.card, timeline: result.timeline}
                yield shown | (files or {})  # all of it: a browser may skip an update
                if result.complete and files is None:
                    files = written(path, result, labels, page_address(request))
                    yield shown | files
        except genre.GenreError as error:
            yield {prediction: views.error(str(error)), timeline: views.blank_timeline(labels), why: ""}

    def written(path: str, result: Result, labels: list[str], address: str) -> dict:
        """The downloads; none where the disk is full, since the result is complete all the same."""
        with suppress(OSError):
            files = downloads.of_song(path, result.prediction, result.spectrogram.image(), labels, address)
            return downloads.enabled(buttons, files)
        return {}

    with gr.Row(equal_height=True, elem_id="ask"):
        with gr.Column():
            song = gr.Audio(
                label=texts.SONG,
                type="filepath",
                format=None,
                elem_id="song",
                buttons=[],
                editable=False,
                # the timeline shows it; Gradio's decodes all of a song again, gigabytes for a mix of two hours
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
            )
        with gr.Column(elem_id="prediction"):
            prediction = gr.HTML(
                views.EMPTY,
                js_on_load=(STATIC / "any_file.js").read_text(encoding="utf-8"),
                folder=views.error(texts.FOLDER_ON_SONG),
                too_large=views.error(texts.too_large(MAX_FILE_SIZE)),
                refused=views.error(texts.REFUSED),
                not_sent=views.error(texts.NOT_SENT),
                largest=MAX_FILE_SIZE,
                lost=views.error(texts.CONNECTION_LOST),
                live=texts.LIVE_TAB,
                insecure=views.error(texts.LIVE["SecurityError"]),
            )
    gr.Examples(
        [[str(EXAMPLES_FOLDER / file)] for file in EXAMPLES.values()],
        song,
        example_labels=list(EXAMPLES),
        cache_examples=False,
        label=texts.EXAMPLES,
        elem_id="examples",
    )
    with gr.Column(elem_id="timeline"):
        overlap = gr.Radio(
            list(texts.OVERLAPS.items()), value=0.0, label=texts.OVERLAP_OF, info=texts.OVERLAP_MORE, render=False
        )
        latest = gr.State([])  # song, model and overlap that were asked for last
        timeline, why = timeline_and_why(
            models, model, song, overlap, latest, lambda latest, path: not latest or latest[0] == path
        )
        timeline.value = views.blank_timeline(models.get(models.first).labels)
        with gr.Row(elem_classes="downloads", elem_id="song-downloads"):
            buttons = downloads.build(texts.SONG_DOWNLOADS)
        why.render()
        with gr.Accordion(texts.OVERLAP, open=False, elem_id="overlap"):
            overlap.render()
    changes = [song.change, model.change, overlap.change]
    asked = gr.on(changes, ask, [song, model, overlap, latest], [song, prediction, *buttons], queue=False, **QUIET)
    classified = asked.then(
        show,
        [song, model, overlap, latest],
        [prediction, timeline, why, *buttons],
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=prediction,
        trigger_mode="always_last",
    )
    classified.failure(lambda: views.error(texts.BUSY), None, prediction, queue=False, **QUIET)
    classified.success(None, js="() => window.dispatchEvent(new Event('song-classified'))", **QUIET)  # for live.js
    return song
