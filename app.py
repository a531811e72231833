"""The page: drop or record a song, see its genre, its spectrogram and the verdict of every 3-second window."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import torch

import genre
from genre import audio, views
from genre.spectrogram import Spectrogram

HERE = Path(__file__).parent
PAGE = HERE / "genre" / "page"
EXAMPLES = {
    "Drum loop": "drum_loop.mp3",
    "Arpeggio": "arpeggio.mp3",
    "Strummed chords": "strummed_chords.mp3",
}
MAX_SECONDS = 30 * 60  # of a file are heard
MAX_FILE_SIZE = "200mb"
UPDATE_SECONDS = 0.7  # between two verdicts while a long file is read
UPLOAD_CHECK_SECONDS, UPLOAD_LIFE_SECONDS = 300, 3000  # so that uploads are gone within the hour
PARALLEL_JOBS = 2
MAX_WAITING = 64

try:  # ZeroGPU Spaces only start apps that mark a function; the network is quick on a CPU, so nothing is moved
    import spaces

    spaces.GPU(lambda: None)
except ImportError:
    pass


def build_page(classifier: genre.Classifier) -> gr.Blocks:
    def show(path: str | None) -> Iterator[tuple[str, str]]:
        """Verdict and timeline of a file, again and again while it is read."""
        if not path:
            yield views.EMPTY, ""
            return
        yield views.LISTENING, ""
        try:
            yield from _listen(classifier, path)
        except genre.GenreError as error:
            yield views.error(str(error)), ""

    def classify(song: gr.FileData) -> dict:
        """Tell the genre of a song.

        Args:
            song: an audio file, or a video with a sound track.

        Returns:
            genre, confidence, probabilities {genre: p} and windows [{start, end, probabilities}], times in seconds.
        """
        try:
            return classifier.classify(song["path"], seconds=MAX_SECONDS).to_dict()
        except genre.GenreError as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title="What genre is this?", delete_cache=(UPLOAD_CHECK_SECONDS, UPLOAD_LIFE_SECONDS)) as page:
        gr.HTML(_intro(classifier))
        with gr.Row():
            with gr.Column():
                song = gr.Audio(label="Song", type="filepath", format=None, elem_id="song", buttons=[], editable=False)
                gr.Examples(
                    [[str(HERE / "examples" / file)] for file in EXAMPLES.values()],
                    song,
                    example_labels=list(EXAMPLES),
                    cache_examples=False,
                    label="Synthetic examples, made by a script",
                )
            with gr.Column():
                verdict = gr.HTML(views.EMPTY, elem_id="verdict")
        timeline = gr.HTML(elem_id="timeline", js_on_load=(PAGE / "timeline.js").read_text(encoding="utf-8"))
        gr.HTML(_about(classifier))
        with gr.Accordion("Model card: how it was trained, what it scores, what it cannot know", open=False):
            gr.Markdown(classifier.checkpoint.card)
        song.change(show, song, [verdict, timeline], api_visibility="private", show_progress="hidden")
        gr.api(classify, api_name="classify")
    return page.queue(default_concurrency_limit=PARALLEL_JOBS, max_size=MAX_WAITING)


def _listen(classifier: genre.Classifier, path: str) -> Iterator[tuple[str, str]]:
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
    classifier: genre.Classifier, prediction: genre.Prediction, spectrogram: Spectrogram, path: str, heard_all: bool
) -> tuple[str, str]:
    picture = spectrogram.data_uri()
    return (
        views.verdict(prediction, classifier.labels, heard_all, MAX_SECONDS),
        views.timeline(
            prediction, classifier.labels, picture, spectrogram.highest_hz, f"gradio_api/file={quote(path)}"
        ),
    )


def _intro(classifier: genre.Classifier) -> str:
    count = len(classifier.labels)
    return (
        '<div class="intro"><h1>What genre is this?</h1>'
        f"<p>Drop a song or record a few seconds. It is heard in 3-second windows and placed among {count} genres: "
        f"{escape(', '.join(classifier.labels))}.</p></div>"
    )


def _about(classifier: genre.Classifier) -> str:
    training, test = (classifier.checkpoint.metrics.get(part) for part in ("training", "test"))
    origin = (
        f"Image networks, started from {escape(training['start'])} and trained on log-mel spectrograms of "
        f"{escape(training['data'])}. "
        if training
        else ""
    )
    score = (
        f"On {test['tracks']} tracks by artists it had never heard, its first guess was right for "
        f"{test['track']['top1']:.0%} and one of its first three for {test['track']['top3']:.0%} "
        f"(chance: {1 / len(classifier.labels):.1%}). "
        if test
        else ""
    )
    return (
        f'<div class="about"><p><b>About the model.</b> {origin}{score}It knows no genre beyond its list, it always '
        "names one, and genres overlap: read the percentages as a well-informed opinion.</p>"
        "<p><b>Privacy.</b> Recordings are used for the verdict only and deleted within the hour.</p></div>"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint",
        default=os.environ.get("GENRE_CHECKPOINT"),  # how a Space is told
        help="a name in checkpoints/, a folder, or hf-hub:user/repo@revision (GENRE_CHECKPOINT, or the shipped one)",
    )
    arguments = parser.parse_args()
    try:
        classifier = genre.load(arguments.checkpoint)
    except genre.GenreError as error:
        sys.exit(f"app.py: {error}")
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // PARALLEL_JOBS))  # so that jobs do not fight for cores
    build_page(classifier).launch(
        theme=gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css_paths=PAGE / "style.css",
        max_file_size=MAX_FILE_SIZE,
        run_history=False,
        footer_links=["api"],
        ssr_mode=False,
    )


if __name__ == "__main__":
    main()
