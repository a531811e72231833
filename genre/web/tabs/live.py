"""Live: the verdict on what the microphone hears, about once a second; the recording goes to the song's tab."""

import base64
import json
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np

import genre
from genre.inference.live import TOO_QUIET, LiveClassifier, LiveResult
from genre.inference.sections import clock
from genre.web import QUIET, STATIC, texts, views
from genre.web.models import Models

MOST_SECONDS = 10 * 60  # that a visitor's browser keeps; then it stops by itself
IDLE_SECONDS = 300  # after which the last seconds of somebody who went away are forgotten


def build(models: Models, model: gr.Dropdown, song: gr.Audio, tabs: gr.Tabs) -> None:
    """The tab.

    Args:
        song: the player that gets the recording.
        tabs: where the tab with the id "song" shows it.
    """

    def hear(listener: LiveClassifier | None, name: str, event: gr.EventData) -> tuple[LiveClassifier | None, str]:
        """The listener with the new sound added, and what it makes of the last seconds."""
        try:
            classifier = models.get(name)
            if listener is None or event.fresh or listener.classifier is not classifier:
                listener = LiveClassifier(classifier, event.rate)
            listener.add(samples(event.sound))
            return listener, card(listener.hear(), classifier.labels)
        except genre.GenreError as error:
            return None, views.error(str(error))

    def hand_over(event: gr.EventData) -> tuple[None, str, str, gr.Tabs]:
        """Forget the last seconds, clear the card, and show the recording as a song."""
        return None, NOTHING_YET, uploaded(event.path, song.GRADIO_CACHE), gr.Tabs(selected="song")

    listener = gr.State(time_to_live=IDLE_SECONDS)
    with gr.Row():
        with gr.Column():
            live = gr.HTML(
                PANEL, elem_id="live", js_on_load=(STATIC / "live.js").read_text(encoding="utf-8"), padding=False
            )
        with gr.Column(elem_id="live-verdict"):
            verdict = gr.HTML(NOTHING_YET)
    heard = live.hear(hear, [listener, model], [listener, verdict], **QUIET)
    heard.then(None, js="() => window.dispatchEvent(new Event('live-heard'))", **QUIET)
    refused = heard.failure(lambda: views.error(texts.BUSY), None, verdict, queue=False, **QUIET)
    refused.then(None, js="() => window.dispatchEvent(new Event('live-refused'))", **QUIET)
    live.stop(hand_over, None, [listener, verdict, song, tabs], **QUIET)


def samples(sound: str) -> np.ndarray:
    """Base64 of 16-bit little-endian samples to float32 in -1 to 1, shape (samples,).

    Raises:
        AudioError: it is something else.
    """
    try:
        return np.frombuffer(base64.b64decode(sound, validate=True), "<i2").astype(np.float32) / 32768
    except ValueError as error:
        raise genre.AudioError(texts.LIVE_GARBLED) from error


def uploaded(path: str, folder: str) -> str:
    """The path, if it lies in the folder of uploads: a visitor's word for it would open any file of the server.

    Raises:
        gradio.Error: it lies elsewhere.
    """
    if not Path(path).resolve().is_relative_to(Path(folder).resolve()):
        raise gr.Error(texts.LIVE_NOT_UPLOADED)
    return path


def card(heard: LiveResult, labels: list[str]) -> str:
    """Verdict, or why there is none yet."""
    if heard.prediction:
        said = texts.live_heard(clock(round(heard.prediction.seconds)))
        return views.verdict(heard.prediction, labels, said, "group")  # a status would be read out every second
    if heard.too_quiet:
        return note(texts.LIVE_QUIET, texts.LIVE_QUIET_MORE)
    return note(texts.LISTENING, texts.LIVE_SOON)


def note(headline: str, more: str) -> str:
    return f'<div class="verdict empty"><p class="genre">{headline}</p><p>{more}</p></div>'


NOTHING_YET = note(texts.LIVE_EMPTY, texts.LIVE_EMPTY_MORE)
PANEL = (
    f'<div class="live" data-texts="{escape(json.dumps(texts.LIVE))}" data-quiet="{TOO_QUIET:g}" '
    f'data-most="{MOST_SECONDS}"><p class="clock" aria-label="{texts.LIVE_HEARD}">0:00</p>'
    f'<div role="meter" aria-label="{texts.LIVE_LEVEL}" aria-valuemin="-80" aria-valuemax="0" aria-valuenow="-80">'
    '<i></i></div><p class="level" aria-hidden="true">– dBFS</p><p class="message" role="status"></p>'
    f'<button type="button">{texts.LIVE["start"]}</button><p class="said" role="status"></p></div>'
)
