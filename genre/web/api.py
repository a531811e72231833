"""The page's API for programs: named HTTP endpoints, which are MCP tools, too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_base64_to_cache, ssrf_protected_download
from gradio.utils import get_upload_folder

import genre
from genre.web import texts
from genre.web.limits import MAX_FILE_SIZE, MAX_SONGS
from genre.web.models import Models


def build(models: Models) -> None:
    """Add the endpoints to the page; they use the model that the page starts with."""
    classifier = models.get(models.first)

    def classify(song: gr.FileData) -> dict:
        """Classify a song by genre.

        Args:
            song: an audio file, or a video with a sound track.

        Returns:
            schema, the version of these fields, 1
            headline {kind, genres, text}, what to say: one genre, a shortlist, or not music
            genre, the nearest of the model's genres
            confidence, its calibrated probability
            is_music
            confident, whether the confidence suffices to name the genre alone
            prediction_set, the genres that the song may well be
            probabilities {genre: p}
            sections [{start, end, genre}] with times in seconds; the genre of silence is null
            windows [{start, end, silent, probabilities}] with times in seconds; a silent one has no probabilities
            seconds
            notes, sentences about the file, such as how much of it could not be decoded
            checkpoint
        """
        try:
            return classifier.classify(_uploaded(song)["path"]).to_dict()
        except genre.GenreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def classify_batch(songs: list[gr.FileData]) -> Iterator[list[dict]]:
        """Classify several songs by genre.

        The list is sent after every song and is complete at the end. An address that cannot be fetched may fail the
        whole call. The Python client removes characters such as "?" and ":" from names before it sends them; join such
        names by order.

        Args:
            songs: audio files, or videos with a sound track.

        Returns:
            a list with an object a song, in order: "file", its name in the call, and what `classify` returns or "error"
        """  # Gradio joins the lines after "Returns" by commas
        if not isinstance(songs, list):
            raise gr.Error(texts.SEND_A_LIST, print_exception=False)
        if len(songs) > MAX_SONGS:
            raise gr.Error(texts.too_many(MAX_SONGS), print_exception=False)
        rows: list[dict] = []
        if not songs:
            yield rows
        for song in songs:
            row = {"file": "song"}
            try:
                upload = _uploaded(song)
                row["file"] = upload.get("orig_name") or "song"
                row |= classifier.classify(upload["path"]).to_dict()
            except genre.GenreError as error:
                row |= {"error": str(error)}
            rows.append(row)
            yield rows

    gr.api(classify, api_name="classify")
    gr.api(classify_batch, api_name="classify_batch")


def _uploaded(song: Any) -> dict:
    """The upload that an argument of a call stands for, with its path.

    Gradio passes a dictionary where the annotation, from which it makes the API's schema, is FileData, and anything
    else as it was sent. From MCP clients a list holds addresses, which Gradio fetches outside of lists alone.

    Raises:
        AudioError: it is something else, or the address cannot be fetched.
    """
    if isinstance(song, str) and song.startswith("data:"):
        if len(song) * 3 // 4 > MAX_FILE_SIZE:  # of base64
            raise genre.AudioError(texts.too_large(MAX_FILE_SIZE))
        try:
            return {"path": save_base64_to_cache(song, get_upload_folder())}
        except ValueError as error:
            raise genre.AudioError(texts.SEND_A_FILE) from error
        except OSError as error:
            raise genre.AudioError(texts.NO_ROOM) from error
    if isinstance(song, str) and song.startswith(("http://", "https://")):
        try:
            path = ssrf_protected_download(song, get_upload_folder())
        except gr.Error as error:
            raise genre.AudioError(error.message) from error
        except Exception as error:  # of any kind where the address is malformed
            raise genre.AudioError(texts.NO_ADDRESS) from error
        return {"path": path, "orig_name": Path(path).name}
    if isinstance(song, dict) and isinstance(song.get("path"), str):
        return song
    raise genre.AudioError(texts.SEND_A_FILE)
