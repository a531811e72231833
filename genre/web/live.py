"""Tab for the microphone: a prediction about once a second; the recording then goes to the tab of one song."""

import base64

import gradio as gr
import numpy as np

import genre
from genre.inference.classify import BUFFER_SECONDS, TOO_QUIET, LiveClassifier
from genre.inference.prediction import Prediction, clock
from genre.web import QUIET, UNQUEUED, script, texts, views
from genre.web.limits import MAX_RECORDING_SECONDS
from genre.web.models import Models
from genre.web.uploads import is_upload

IDLE_SECONDS = 300  # after which the audio buffer of a visitor is deleted


class LiveTab:
    """The tab.

    Args:
        model: component with the name of the model.
        song: component that receives the recording.
        tabs: the one with the id "song" is selected then.
    """

    def __init__(self, models: Models, model: gr.Dropdown, song: gr.Audio, tabs: gr.Tabs):
        self.models = models
        state = gr.State(time_to_live=IDLE_SECONDS)
        with gr.Row():
            with gr.Column():
                recorder = gr.HTML(
                    PANEL,
                    elem_id="live",
                    js_on_load=script("live.js"),
                    padding=False,
                    texts=texts.LIVE,
                    quiet=TOO_QUIET,
                    most=MAX_RECORDING_SECONDS,
                    buffer=BUFFER_SECONDS,
                )
            with gr.Column(elem_id="live-prediction"):
                prediction = gr.HTML(NOTHING_YET)
        classified = recorder.sound(self.classify_live, [state, model], [state, prediction], **QUIET)
        classified.then(None, js="() => window.dispatchEvent(new Event('live-classified'))", **QUIET)
        refused = classified.failure(lambda: views.error(texts.BUSY), None, prediction, **UNQUEUED)
        refused.then(None, js="() => window.dispatchEvent(new Event('live-refused'))", **QUIET)
        taken = recorder.stop(self.hand_over, None, [state, prediction, song, tabs], **UNQUEUED)
        taken.success(None, js="() => window.dispatchEvent(new Event('live-taken'))", **QUIET)

    def classify_live(
        self, live: LiveClassifier | None, name: str, event: gr.EventData
    ) -> tuple[LiveClassifier | None, str]:
        """The classifier with the new samples in its buffer, and the card with its prediction."""
        try:
            classifier = self.models.get(name)
            if live is None or event.fresh or live.classifier is not classifier:
                live = LiveClassifier(classifier, event.rate)
            live.add(samples(event.sound))
            return live, card(live.predict(), live.too_quiet, classifier.labels)
        except genre.GenreError as error:
            return None, views.error(str(error))

    def hand_over(self, event: gr.EventData) -> tuple[None, str, str, gr.Tabs]:
        """Delete the audio buffer, clear the card, and open the recording in the tab of one song."""
        if not is_upload(event.path):  # a visitor may send any path
            raise gr.Error(texts.LIVE_NOT_UPLOADED)
        return None, NOTHING_YET, event.path, gr.Tabs(selected="song")


def samples(sound: str) -> np.ndarray:
    """Base64 of 16-bit little-endian samples to float32 in -1 to 1, shape (samples,).

    Raises:
        AudioError: `sound` is anything else, or empty.
    """
    try:
        decoded = np.frombuffer(base64.b64decode(sound, validate=True), "<i2")
    except (ValueError, TypeError) as error:
        raise genre.AudioError(texts.LIVE_GARBLED) from error
    if not len(decoded):
        raise genre.AudioError(texts.LIVE_GARBLED)
    return decoded.astype(np.float32) / 32768


def card(prediction: Prediction | None, too_quiet: bool, labels: list[str]) -> str:
    """The prediction card, or a note why there is no prediction yet."""
    if prediction:
        coverage = texts.LIVE_COVERAGE.format(clock=clock(prediction.seconds))
        # not role "status": screen readers would read it out every second
        return views.prediction_card(prediction, labels, coverage, "group")
    if too_quiet:
        return views.note(texts.LIVE_QUIET, texts.LIVE_QUIET_MORE)
    return views.note(texts.LIVE_RECORDING, texts.LIVE_SOON)


NOTHING_YET = views.note(texts.LIVE_EMPTY, texts.LIVE_EMPTY_MORE)
PANEL = (
    f'<div class="live"><p class="clock" aria-label="{texts.LIVE_CLOCK}">0:00</p>'
    f'<div role="meter" aria-label="{texts.LIVE_LEVEL}" aria-valuemin="-80" aria-valuemax="0" aria-valuenow="-80">'
    '<i></i></div><p class="level" aria-hidden="true">– dBFS</p><p class="message" role="status"></p>'
    f'<div class="unsent" hidden><button type="button">{texts.LIVE["again"]}</button> '
    f'<a download="{texts.LIVE["file"]}">{texts.LIVE["save"]}</a></div>'
    f'<button type="button">{texts.LIVE["start"]}</button><p class="announcement" role="status"></p></div>'
)
