"""Result of one recording: prediction card, timeline, and the explanation of the window that was clicked."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import gradio as gr

import genre
from genre.features.image import Spectrogram, data_uri
from genre.inference.classify import Classifier
from genre.inference.explain import explain
from genre.web import QUIET, STATIC, texts, views
from genre.web.models import Models
from genre.web.playback import PlaybackCopy

UPDATE_SECONDS = 0.7  # between two updates of the page while a long file is decoded
UPDATE_WINDOWS = 300  # with more windows updates are as much rarer, since they take as much longer to send and to draw


@dataclass(frozen=True)
class Result:
    """What is known of a recording so far; card and timeline are HTML.

    Attributes:
        complete: whether all of it has been classified; the timeline may still wait for the playback copy.
    """

    complete: bool
    prediction: genre.Prediction
    spectrogram: Spectrogram
    card: str
    timeline: str


def timeline_and_why(
    models: Models,
    model: gr.components.Component,
    recording: gr.components.Component,
    overlap: gr.components.Component,
    state: gr.State,
    shows: Callable[[Any, str], bool],
) -> tuple[gr.HTML, gr.HTML]:
    """The timeline, and the explanation that a click on one of its windows shows; the caller renders the latter.

    Args:
        recording: component with the path of the file that the timeline shows.
        overlap: component with the overlap of its windows.
        state: of the tab.
        shows: whether the tab, by the value of its state, still shows the recording with this path; where it does not,
            an explanation comes too late.
    """

    def why(path: str | None, name: str, overlap: float, value: Any, click: gr.EventData) -> Iterator[str | dict]:
        try:
            classifier = models.get(name)
            label, start = _asked(click)
            if not path or label not in classifier.labels or not math.isfinite(start):
                yield ""
                return
            yield views.EXPLAINING
            explanation = explain(classifier, path, start, label, overlap=overlap)
            # Too late, nothing changes; without any output Gradio would send the one before again.
            yield views.why(explanation, classifier.labels) if shows(value, path) else gr.skip()
        except genre.GenreError as error:
            yield views.error(str(error))

    timeline = gr.HTML(
        js_on_load=(STATIC / "timeline.js").read_text(encoding="utf-8"), min_height=0, unplayable=texts.UNPLAYABLE
    )
    map_ = gr.HTML(js_on_load=(STATIC / "why.js").read_text(encoding="utf-8"), min_height=0, render=False)
    clicked = timeline.click(why, [recording, model, overlap, state], map_, trigger_mode="always_last", **QUIET)
    clicked.failure(lambda: views.error(texts.BUSY), None, map_, queue=False, **QUIET)
    return timeline, map_


def _asked(click: gr.EventData) -> tuple[str, float]:
    """Genre and start in seconds of the window that was clicked; NaN for what other programs may send instead."""
    try:
        return str(click.genre), float(click.start)
    except (AttributeError, TypeError, ValueError):
        return "", math.nan


def stream_results(classifier: Classifier, path: str, overlap: float = 0.0) -> Iterator[Result]:
    """Classify a file; yields the result so far while it is decoded, then the complete one until it can be played too.

    Raises:
        AudioError: the file cannot be decoded, or it is silent.
    """
    spectrogram = Spectrogram(classifier.sample_rate)
    due, prediction = 0.0, None
    with PlaybackCopy(path) as copy:
        for prediction in classifier.stream(path, overlap=overlap, on_clip=spectrogram.add):
            if time.monotonic() > due:
                yield _render(classifier, prediction, spectrogram, copy)
                rarer = max(1.0, len(prediction.windows) / UPDATE_WINDOWS)
                due = time.monotonic() + UPDATE_SECONDS * rarer
            copy.begin()  # not before the first result, which it would delay
        if prediction:  # always, since a silent recording raises
            playable = copy.has_ended
            result = _render(classifier, prediction, spectrogram, copy, complete=True)
            yield result
            if not playable:
                while not copy.wait(UPDATE_SECONDS):
                    yield result  # the caller may leave here
                yield _render(classifier, prediction, spectrogram, copy, complete=True)


def _render(
    classifier: Classifier,
    prediction: genre.Prediction,
    spectrogram: Spectrogram,
    copy: PlaybackCopy,
    complete: bool = False,
) -> Result:
    labels, image = classifier.labels, data_uri(spectrogram.image())
    end, role = (texts.COMPLETE, "status") if complete else (texts.STILL_CLASSIFYING, "group")
    none = None if copy.has_ended else ""
    address = f"gradio_api/file={quote(str(copy.file))}" if copy.file else none
    return Result(
        complete,
        prediction,
        spectrogram,
        views.prediction_card(prediction, labels, views.coverage(prediction) + end, role),
        views.timeline(prediction, labels, image, spectrogram.highest_hz, address),
    )
