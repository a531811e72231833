"""Tab for one song: drop or record it, see its prediction and its timeline."""

from collections.abc import Iterator

import gradio as gr

import genre
from genre.models.checkpoint import SHIPPED
from genre.web import QUIET, STATIC, texts, views
from genre.web.models import Models
from genre.web.tabs.result import stream_results, timeline_and_why

EXAMPLES = {
    "Drum loop": "drum_loop.mp3",
    "Arpeggio": "arpeggio.mp3",
    "Strummed chords": "strummed_chords.mp3",
}
EXAMPLES_FOLDER = SHIPPED.parent / "examples"


def build(models: Models, model: gr.Dropdown) -> gr.Audio:
    """Lay out and wire the tab; returns the audio component, to which other tabs may send a recording."""

    def waiting(path: str | None) -> str:
        """The card while the job is in the queue."""
        return views.CLASSIFYING if path else views.EMPTY

    def show(path: str | None, name: str) -> Iterator[tuple[str, str, str]]:
        """Prediction card, timeline and an empty explanation."""
        labels = []
        try:
            classifier = models.get(name)
            labels = classifier.labels
            yield waiting(path), views.blank_timeline(labels), ""
            for card_html, timeline_html in stream_results(classifier, path) if path else []:
                yield card_html, timeline_html, ""
        except genre.GenreError as error:
            yield views.error(str(error)), views.blank_timeline(labels), ""

    with gr.Row(equal_height=True, elem_id="ask"):
        with gr.Column():
            song = gr.Audio(label="Song", type="filepath", format=None, elem_id="song", buttons=[], editable=False)
        with gr.Column(elem_id="prediction"):
            prediction = gr.HTML(
                views.EMPTY,
                js_on_load=(STATIC / "any_file.js").read_text(encoding="utf-8"),
                folder=views.error(texts.FOLDER_ON_SONG),
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
        timeline, why = timeline_and_why(models, model, song)
        timeline.value = views.blank_timeline(models.get(models.first).labels)
    asked = gr.on([song.change, model.change], waiting, song, prediction, queue=False, **QUIET)
    classified = asked.then(
        show,
        [song, model],
        [prediction, timeline, why],
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=prediction,
        trigger_mode="always_last",
    )
    classified.failure(lambda: views.error(texts.BUSY), None, prediction, queue=False, **QUIET)
    return song
