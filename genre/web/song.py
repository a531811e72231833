"""Tab for one song: drop or record it, see its prediction and its timeline. The tab for several songs has one, too."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio.events import Dependency
from PIL import Image

import genre
from genre.features.image import Spectrogram, data_uri
from genre.files import json_list
from genre.inference import export
from genre.inference.classify import Classifier
from genre.inference.explain import explain
from genre.inference.export import LABEL_TRACK, PICTURE, label_track, picture, safe_name
from genre.web import QUIET, UNQUEUED, script, texts, views
from genre.web.limits import MAX_FILE_SIZE
from genre.web.models import Models
from genre.web.uploads import PlaybackCopy, Upload, examples, new_folder

UPDATE_SECONDS = 0.7  # between two updates of the page while a long file is decoded
UPDATE_WINDOWS = 300  # with more windows updates are as much rarer, since they take as much longer to send and to draw
WINDOWS, JSON = ".windows.csv", ".json"  # suffixes of files for download, as LABEL_TRACK and PICTURE
SPREADSHEET = "utf-8-sig"  # Excel needs the byte order mark to read UTF-8


class SongTab:
    """The tab.

    Args:
        model: component with the name of the model.
        described: event that follows a change of the model, once it has been loaded.

    Attributes:
        song: audio component, to which other tabs may send a recording.
    """

    def __init__(self, models: Models, model: gr.Dropdown, described: Dependency):
        self.models = models
        self.latest = gr.State([])  # song, model and overlap that were asked for last
        with gr.Row(equal_height=True, elem_id="ask"):
            with gr.Column():
                self.song = gr.Audio(
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
                self.prediction = gr.HTML(
                    views.EMPTY,
                    js_on_load=script("any_file.js"),
                    folder=views.error(texts.FOLDER_ON_SONG),
                    too_large=views.error(texts.TOO_LARGE),
                    refused=views.error(texts.REFUSED),
                    no_room=views.error(texts.NO_ROOM),
                    not_sent=views.error(texts.UPLOAD_FAILED),
                    largest=MAX_FILE_SIZE,
                    lost=views.error(texts.CONNECTION_LOST),
                    live=texts.LIVE_TAB,
                    insecure=views.error(texts.LIVE["SecurityError"]),
                )
        gr.Examples(
            [[str(path)] for path in examples()],
            self.song,
            example_labels=texts.EXAMPLE_NAMES,
            cache_examples=False,
            label=texts.EXAMPLES,
            elem_id="examples",
        )
        with gr.Column(elem_id="timeline"):
            self.overlap = gr.Radio(
                list(texts.OVERLAPS.items()), value=0.0, label=texts.OVERLAP_OF, info=texts.OVERLAP_MORE, render=False
            )
            self.timeline, self.why = timeline_and_why(models, model, self.song, self.overlap, self.latest, _shows)
            self.timeline.value = views.blank_timeline(models.get(models.first).labels)
            with gr.Row(elem_classes="downloads"):
                self.buttons = download_buttons(texts.SONG_DOWNLOADS)
            self.why.render()
            with gr.Accordion(texts.OVERLAP, open=False, elem_id="overlap"):
                self.overlap.render()
        asked = [self.song, model, self.overlap, self.latest]
        for changed in (partial(gr.on, [self.song.change, self.overlap.change]), described.then):
            event = changed(self.ask, asked, [self.song, self.prediction, *self.buttons], **UNQUEUED)
            classified = event.then(
                self.show,
                asked,
                [self.prediction, self.timeline, self.why, *self.buttons],
                api_visibility="private",
                show_progress="minimal",
                show_progress_on=self.prediction,
                trigger_mode="always_last",
            )
            classified.failure(lambda: views.error(texts.BUSY), None, self.prediction, **UNQUEUED)
            # for live.js
            classified.success(None, js="() => window.dispatchEvent(new Event('song-classified'))", **QUIET)

    def ask(self, path: str | None, name: str, overlap: float, latest: list) -> dict:
        """The card while the job is in the queue; ends a job for another song, model or overlap."""
        latest[:] = [path, name, overlap]
        return {self.song: gr.Audio(label=Path(path).name if path else texts.SONG)} | self.waiting(path)

    def waiting(self, path: str | None) -> dict:
        return {self.prediction: views.CLASSIFYING if path else views.EMPTY} | disabled(self.buttons)

    def show(self, path: str | None, name: str, overlap: float, latest: list, request: gr.Request) -> Iterator[dict]:
        """Prediction card, timeline, an empty explanation, and the downloads at the end."""
        labels = []

        def replaced() -> bool:
            """Whether the visitor has asked for another one, while this one was in the queue or since then."""
            return bool(latest) and latest != [path, name, overlap]

        if replaced():
            yield gr.skip()
            return
        try:
            classifier = self.models.get(name)
            labels = classifier.labels
            yield self.waiting(path) | {self.timeline: views.blank_timeline(labels), self.why: ""}
            if not path:
                return
            files: dict | None = None
            for result in stream_results(classifier, path, overlap):
                if replaced():
                    yield gr.skip()  # else Gradio would send the output before once more, at the end
                    return
                shown = {self.prediction: result.card, self.timeline: result.timeline}
                yield shown | (files or {})  # all of it: a browser may skip an update
                if result.complete and files is None:
                    files = {}
                    with suppress(OSError):  # the disk is full; the result is complete all the same
                        image, address = result.spectrogram.image(), page_address(request)
                        files = enabled(self.buttons, song_files(path, result.prediction, image, labels, address))
                    yield shown | files
        except genre.GenreError as error:
            blank = {self.timeline: views.blank_timeline(labels), self.why: ""}
            yield gr.skip() if replaced() else {self.prediction: views.error(str(error))} | blank


def _shows(latest: list, path: str) -> bool:
    """Whether the recording with this path is the one that was asked for last."""
    return not latest or latest[0] == path


def page_address(request: gr.Request) -> str:
    """Address of the page as a visitor's browser has it; empty for other programs."""
    return str(request.headers.get("referer", "")).partition("?")[0].partition("#")[0].rstrip("/")


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
            if not shows(value, path):  # the click has waited in the queue
                yield gr.skip()
                return
            yield views.EXPLAINING
            explanation = explain(classifier, Upload(path), start, label, overlap=overlap)
            # Too late, nothing changes, as in `SongTab.show`.
            yield views.why(explanation, classifier.labels) if shows(value, path) else gr.skip()
        except genre.GenreError as error:
            yield views.error(str(error))

    timeline = gr.HTML(js_on_load=script("timeline.js"), min_height=0, unplayable=texts.UNPLAYABLE)
    map_ = gr.HTML(js_on_load=script("why.js"), min_height=0, render=False)
    clicked = timeline.click(why, [recording, model, overlap, state], map_, trigger_mode="always_last", **QUIET)
    clicked.failure(lambda: views.error(texts.BUSY), None, map_, **UNQUEUED)
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
    labels, spectrogram = classifier.labels, Spectrogram(classifier.sample_rate)

    def result(complete: bool = False) -> Result:
        end, role = (texts.COMPLETE, "status") if complete else (texts.STILL_CLASSIFYING, "group")
        card = views.prediction_card(prediction, labels, views.coverage(prediction) + end, role)
        none = None if copy.ended.is_set() else ""
        audio = f"gradio_api/file={quote(str(copy.file))}" if copy.file else none
        image = data_uri(spectrogram.image())
        timeline = views.timeline(prediction, labels, image, spectrogram.highest_hz, audio)
        return Result(complete, prediction, spectrogram, card, timeline)

    due = 0.0
    with PlaybackCopy(path) as copy:
        for prediction in classifier.stream(Upload(path), overlap=overlap, on_clip=spectrogram.add):
            if time.monotonic() > due:
                yield result()
                rarer = max(1.0, len(prediction.windows) / UPDATE_WINDOWS)
                due = time.monotonic() + UPDATE_SECONDS * rarer
            copy.begin()  # not before the first result, which it would delay
        playable = copy.ended.is_set()
        complete = result(complete=True)
        yield complete
        if not playable:
            while not copy.ended.wait(UPDATE_SECONDS):
                yield complete  # the caller may leave here
            yield result(complete=True)


# Files for download. They are in folders of their own in Gradio's cache, where they are deleted with the uploads.


def download_buttons(labels: list[str]) -> list[gr.DownloadButton]:
    """Buttons, which are disabled until they have a file."""
    return [gr.DownloadButton(label, size="sm", interactive=False) for label in labels]


def disabled(buttons: list[gr.DownloadButton]) -> dict:
    return {button: gr.DownloadButton(interactive=False) for button in buttons}


def enabled(buttons: list[gr.DownloadButton], files: Iterable[Path | None]) -> dict:
    """Updates that give each button its file; those without one stay disabled."""
    pairs = zip(buttons, files, strict=True)
    return {button: gr.DownloadButton(value=file, interactive=file is not None) for button, file in pairs}


def song_files(
    path: str, prediction: genre.Prediction, spectrogram: Image.Image, labels: list[str], address: str
) -> list[Path]:
    """Write the files of one song: a table of its windows, JSON, a label track and a picture.

    Args:
        path: of the upload.
        labels: of the model.
        address: of the page.
    """
    folder, name = new_folder(), safe_name(path)
    windows, everything, track, image = (folder / f"{name}{suffix}" for suffix in (WINDOWS, JSON, LABEL_TRACK, PICTURE))
    write_windows_and_json([(Path(path).name, prediction)], labels, windows, everything)
    track.write_text(label_track(prediction), encoding="utf-8", newline="\n")
    picture(prediction, labels, path, spectrogram, address).save(image)
    return [windows, everything, track, image]


def write_windows_and_json(
    found: list[tuple[str, genre.Prediction | genre.AudioError]], labels: list[str], windows: Path, everything: Path
) -> None:
    """Write a table of the windows of recordings, and all about them as JSON."""
    with windows.open("w", encoding=SPREADSHEET, newline="") as file:
        write = export.windows_csv_writer(file, labels)
        for name, result in found:
            write(name, result)
    with everything.open("w", encoding="utf-8") as file, json_list(file) as append:
        for name, result in found:
            append(export.to_row(name, result))
