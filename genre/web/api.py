"""The page's API for programs: named HTTP endpoints, which are MCP tools, too."""

from collections.abc import Iterator
from typing import cast

import gradio as gr
from gradio.data_classes import FileDataDict

import genre
from genre.web import texts
from genre.web.limits import MAX_SONGS
from genre.web.models import Models


def build(models: Models) -> None:
    """Add the endpoints to the page; they use the model that the page starts with."""
    classifier = models.get(models.first)

    def classify(song: gr.FileData) -> dict:
        """Classify a song by genre.

        Args:
            song: an audio file, or a video with a sound track.

        Returns:
            genre (the nearest of the model's genres), confidence (its calibrated probability), is_music, confident
            (whether the confidence suffices to name the genre alone), prediction_set (genres that the song may well
            be), probabilities {genre: p}, windows [{start, end, silent, probabilities}], seconds, notes (sentences
            about the file, such as how much of it could not be decoded) and checkpoint. Times are in seconds. A silent
            window has no probabilities.
        """
        try:
            return classifier.classify(_as_passed(song)["path"]).to_dict()
        except genre.GenreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def classify_batch(songs: list[gr.FileData]) -> Iterator[list[dict]]:
        """Classify several songs by genre.

        Args:
            songs: audio files, or videos with a sound track.

        Returns:
            a list with an object a song, in order: "file", its name in the call, and what `classify` returns or
            "error", why it could not be decoded. The Python client removes characters such as "?" and ":" from names
            before it sends them; join such names by order. The list is sent after every song and is complete at the
            end.
        """
        if len(songs) > MAX_SONGS:
            raise gr.Error(texts.too_many(MAX_SONGS), print_exception=False)
        rows = []
        for song in map(_as_passed, songs):
            row = {"file": song.get("orig_name") or "song"}
            try:
                row |= classifier.classify(song["path"]).to_dict()
            except genre.GenreError as error:
                row |= {"error": str(error)}
            rows.append(row)
            yield rows

    gr.api(classify, api_name="classify")
    gr.api(classify_batch, api_name="classify_batch")


def _as_passed(song: gr.FileData) -> FileDataDict:
    """Gradio passes a dictionary where the annotation, from which it makes the API's schema, is FileData."""
    return cast(FileDataDict, song)
