"""What the page shows of one recording: verdict, timeline, and why the window that was clicked got its genre."""

import time
from collections.abc import Iterator
from urllib.parse import quote

import gradio as gr

import genre
from genre import audio, views
from genre.classify import Classifier
from genre.explain import explain
from genre.page import HERE, MAX_SECONDS
from genre.page.models import Models
from genre.spectrogram import Spectrogram

UPDATE_SECONDS = 0.7  # between two verdicts while a long file is read


def verdict_card() -> gr.HTML:
    return gr.HTML(views.EMPTY, elem_classes="verdict-card")


def timeline_and_why(models: Models, model: gr.Dropdown, recording: gr.components.Component) -> tuple[gr.HTML, gr.HTML]:
    """The timeline, and the map that a click on it brings.

    Args:
        recording: holds the file that the timeline shows.
    """

    def why(path: str | None, name: str, click: gr.EventData) -> str:
        if not path:
            return ""
        try:
            classifier = models.get(name)
            if click.genre not in classifier.labels:  # the page asks about what it shows, others may ask for anything
                return ""
            return views.why(explain(classifier, path, float(click.start), click.genre), classifier.labels)
        except genre.GenreError as error:
            return views.error(str(error))

    timeline = gr.HTML(
        elem_classes="timeline-box", js_on_load=(HERE / "timeline.js").read_text(encoding="utf-8"), min_height=0
    )
    map_ = gr.HTML(elem_classes="why-box")
    timeline.click(
        why,
        [recording, model],
        map_,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
    )
    return timeline, map_


def listen(classifier: Classifier, path: str) -> Iterator[tuple[str, str]]:
    """Verdict and timeline of a file as HTML, again and again while it is read.

    Raises:
        AudioError: nothing in the file can be heard.
    """
    spectrogram = Spectrogram(classifier.sample_rate)
    pieces = audio.stream(path, classifier.sample_rate, seconds=MAX_SECONDS)
    shown, prediction = 0.0, None
    for prediction, clip in classifier.listen(pieces):
        spectrogram.add(clip)
        if prediction and time.monotonic() - shown > UPDATE_SECONDS:
            yield _render(classifier, prediction, spectrogram, path, heard_all=False)
            shown = time.monotonic()
    yield _render(classifier, prediction, spectrogram, path, heard_all=True)


def _render(
    classifier: Classifier, prediction: genre.Prediction, spectrogram: Spectrogram, path: str, heard_all: bool
) -> tuple[str, str]:
    picture = spectrogram.data_uri()
    url = f"gradio_api/file={quote(path)}"
    return (
        views.verdict(prediction, classifier.labels, heard_all, MAX_SECONDS),
        views.timeline(prediction, classifier.labels, picture, spectrogram.highest_hz, url),
    )
