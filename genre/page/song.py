"""One song: drop or record it, see its verdict and its timeline."""

from collections.abc import Iterator

import gradio as gr

import genre
from genre import views
from genre.checkpoint import SHIPPED
from genre.page import texts
from genre.page.models import Models
from genre.page.result import listen, timeline_and_why, verdict_card

EXAMPLES = {
    "Drum loop": "drum_loop.mp3",
    "Arpeggio": "arpeggio.mp3",
    "Strummed chords": "strummed_chords.mp3",
}
EXAMPLES_FOLDER = SHIPPED.parent / "examples"


def build(models: Models, model: gr.Dropdown) -> gr.Audio:
    """The tab; returns the player, which other tabs may hand a recording to."""

    def show(path: str | None, name: str) -> Iterator[tuple[str, str, str]]:
        """Verdict, timeline and an empty map."""
        if not path:
            yield views.EMPTY, "", ""
            return
        yield views.LISTENING, "", ""
        try:
            for verdict_html, timeline_html in listen(models.get(name), path):
                yield verdict_html, timeline_html, ""
        except genre.GenreError as error:
            yield views.error(str(error)), "", ""

    with gr.Row():
        with gr.Column():
            song = gr.Audio(label="Song", type="filepath", format=None, elem_id="song", buttons=[], editable=False)
            gr.Examples(
                [[str(EXAMPLES_FOLDER / file)] for file in EXAMPLES.values()],
                song,
                example_labels=list(EXAMPLES),
                cache_examples=False,
                label=texts.EXAMPLES,
            )
        with gr.Column(elem_id="verdict"):
            verdict = verdict_card()
    with gr.Column(elem_id="timeline"):
        timeline, why = timeline_and_why(models, model, song)
    gr.on(
        [song.change, model.change],
        show,
        [song, model],
        [verdict, timeline, why],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
    )
    return song
