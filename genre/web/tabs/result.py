"""Result of one recording: prediction card, timeline, and the explanation of the window that was clicked."""

import time
from collections.abc import Iterator
from urllib.parse import quote

import gradio as gr

import genre
from genre.features.image import Spectrogram
from genre.inference.classify import Classifier
from genre.inference.explain import explain
from genre.web import QUIET, STATIC, texts, views
from genre.web.limits import JOB_SECONDS, MAX_SECONDS
from genre.web.models import Models

UPDATE_SECONDS = 0.7  # between two updates of the page while a long file is decoded


def timeline_and_why(
    models: Models, model: gr.components.Component, recording: gr.components.Component
) -> tuple[gr.HTML, gr.HTML]:
    """The timeline, and the explanation that a click on one of its windows shows.

    Args:
        recording: component with the path of the file that the timeline shows.
    """

    def why(path: str | None, name: str, click: gr.EventData) -> Iterator[str]:
        try:
            classifier = models.get(name)
            if not path or click.genre not in classifier.labels:  # other programs may send anything
                yield ""
                return
            yield views.EXPLAINING
            yield views.why(explain(classifier, path, float(click.start), click.genre), classifier.labels)
        except genre.GenreError as error:
            yield views.error(str(error))

    timeline = gr.HTML(
        js_on_load=(STATIC / "timeline.js").read_text(encoding="utf-8"), min_height=0, unplayable=texts.UNPLAYABLE
    )
    map_ = gr.HTML(js_on_load=(STATIC / "why.js").read_text(encoding="utf-8"), min_height=0)
    clicked = timeline.click(why, [recording, model], map_, trigger_mode="always_last", **QUIET)
    clicked.failure(lambda: views.error(texts.BUSY), None, map_, queue=False, **QUIET)
    return timeline, map_


def stream_results(classifier: Classifier, path: str) -> Iterator[tuple[str, str]]:
    """Classify a file; yields prediction card and timeline as HTML while it is decoded, and at the end.

    Raises:
        AudioError: the file cannot be decoded, or it is silent.
    """
    spectrogram = Spectrogram(classifier.sample_rate)
    started, shown, prediction = time.monotonic(), 0.0, None
    notes: list[str] = []
    pieces = classifier.read(path, classifier.sample_rate, notes=notes)
    for prediction, clip in classifier.classify_pieces(pieces, notes=notes):
        spectrogram.add(clip)
        if prediction and time.monotonic() - shown > UPDATE_SECONDS:
            yield _render(classifier, prediction, spectrogram, path, texts.STILL_CLASSIFYING, "group")
            shown = time.monotonic()
    out_of_time = time.monotonic() - started > JOB_SECONDS
    if prediction:  # always, since a silent recording raises
        end = texts.OUT_OF_TIME if out_of_time else ending(prediction)
        yield _render(classifier, prediction, spectrogram, path, end)


def ending(prediction: genre.Prediction) -> str:
    """End of the sentence that `views.coverage` begins."""
    return texts.LIMIT_REACHED if prediction.seconds >= MAX_SECONDS else texts.COMPLETE


def _render(
    classifier: Classifier,
    prediction: genre.Prediction,
    spectrogram: Spectrogram,
    path: str,
    end: str,
    role: str = "status",
) -> tuple[str, str]:
    image = spectrogram.data_uri()
    url = f"gradio_api/file={quote(path)}"
    return (
        views.prediction_card(prediction, classifier.labels, views.coverage(prediction) + end, role),
        views.timeline(prediction, classifier.labels, image, spectrogram.highest_hz, url),
    )
