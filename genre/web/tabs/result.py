"""What the page shows of one recording: verdict, timeline, and why the window that was clicked got its genre."""

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

UPDATE_SECONDS = 0.7  # between two verdicts while a long file is read


def timeline_and_why(models: Models, model: gr.Dropdown, recording: gr.components.Component) -> tuple[gr.HTML, gr.HTML]:
    """The timeline, and the map that a click on it brings.

    Args:
        recording: holds the file that the timeline shows.
    """

    def why(path: str | None, name: str, click: gr.EventData) -> Iterator[str]:
        try:
            classifier = models.get(name)
            if not path or click.genre not in classifier.labels:  # the page asks about what it shows, others about all
                yield ""
                return
            yield views.LOOKING
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


def listen(classifier: Classifier, path: str) -> Iterator[tuple[str, str]]:
    """Verdict and timeline of a file as HTML, again and again while it is read.

    Raises:
        AudioError: nothing in the file can be heard.
    """
    spectrogram = Spectrogram(classifier.sample_rate)
    started, shown, prediction, notes = time.monotonic(), 0.0, None, []
    for prediction, clip in classifier.listen(classifier.read(path, classifier.sample_rate, notes=notes), notes=notes):
        spectrogram.add(clip)
        if prediction and time.monotonic() - shown > UPDATE_SECONDS:
            yield _render(classifier, prediction, spectrogram, path, texts.STILL_LISTENING, "group")
            shown = time.monotonic()
    out_of_time = time.monotonic() - started > JOB_SECONDS
    yield _render(classifier, prediction, spectrogram, path, texts.OUT_OF_TIME if out_of_time else end(prediction))


def end(prediction: genre.Prediction) -> str:
    """How the line on how much was heard ends."""
    return texts.LIMIT_REACHED if prediction.seconds >= MAX_SECONDS else texts.HEARD_ALL


def _render(
    classifier: Classifier,
    prediction: genre.Prediction,
    spectrogram: Spectrogram,
    path: str,
    ending: str,
    role: str = "status",
) -> tuple[str, str]:
    picture = spectrogram.data_uri()
    url = f"gradio_api/file={quote(path)}"
    return (
        views.verdict(prediction, classifier.labels, views.heard(prediction) + ending, role),
        views.timeline(prediction, classifier.labels, picture, spectrogram.highest_hz, url),
    )
