"""The page for other programs: named endpoints over HTTP, and the same as MCP tools."""

from collections.abc import Iterator

import gradio as gr

import genre
from genre.web import texts
from genre.web.limits import MAX_SONGS
from genre.web.models import Models


def build(models: Models) -> None:
    """Add the endpoints to the page; they use the model that it starts with."""
    classifier = models.get(models.first)

    def classify(song: gr.FileData) -> dict:
        """Tell the genre of a song.

        Args:
            song: an audio file, or a video with a sound track.

        Returns:
            genre, confidence, is_music, sure (whether the genre may be named alone), plausible (genres that it may well
            be), probabilities {genre: p}, windows [{start, end, silent, probabilities}], times in seconds, and notes
            (sentences on what was unusual about the file, such as how much of it could not be decoded). A silent window
            has no probabilities.
        """
        try:
            return classifier.classify(song["path"]).to_dict()
        except genre.GenreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def classify_batch(songs: list[gr.FileData]) -> Iterator[list[dict]]:
        """Tell the genres of several songs.

        Args:
            songs: audio files, or videos with a sound track.

        Returns:
            a list with an object a song, in order: "file", its name as the call gives it, and what `classify` returns
            or "error", why it could not be decoded. The Python client takes characters such as "?" and ":" out of names
            before it sends them; join by order where names have such. The list is handed over after every song, and is
            complete at the end.
        """
        if len(songs) > MAX_SONGS:
            raise gr.Error(texts.too_many(MAX_SONGS), print_exception=False)
        rows = []
        for song in songs:
            row = {"file": song.get("orig_name") or "song"}
            try:
                row |= classifier.classify(song["path"]).to_dict()
            except genre.GenreError as error:
                row |= {"error": str(error)}
            rows.append(row)
            yield rows

    gr.api(classify, api_name="classify")
    gr.api(classify_batch, api_name="classify_batch")
