"""The page's API for programs: named HTTP endpoints, which are MCP tools, too, and the download of songs by address.

Here, and where `genre/web/__init__.py` imports Gradio, the page relies on more than its public API, as of Gradio 6.31:
look here first when Gradio is updated. `genre/web/uploads.py` knows where Gradio stores uploads, how it cleans their
names, and the address of its upload endpoint; `genre/web/song.py` knows the address from which it serves files.

* `processing_utils.async_transport`: Gradio downloads songs that API calls name by URL with it. It reads a whole
  response into memory and decompresses it, without a limit, and no option sets one; `BoundedTransport` does.
* `processing_utils.ssrf_protected_download`: Gradio fetches the URL of a file, but not those in a list of files, as MCP
  clients send them; this is the function by which it does, from public hosts only.

The scripts in `static` know class names and addresses of Gradio's page; each says at its top what it is for.
"""

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import gradio as gr
import httpx
from gradio import processing_utils
from safehttpx import AsyncSecureTransport, async_validate_url, matches_domain_whitelist

import genre
from genre.web import texts, uploads
from genre.web.limits import MAX_FILE_SIZE, MAX_SONGS
from genre.web.models import Models


def build(models: Models) -> None:
    """Add the endpoints to the page; they use the model that the page starts with."""
    processing_utils.async_transport = BoundedTransport()  # type: ignore[assignment]  # declared None
    classifier = models.get(models.first)

    def classify(song: gr.FileData) -> dict:
        """Classify a song by genre.

        The model is the one that the page starts with.

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
            return classifier.classify(uploads.Upload(_uploaded(song)["path"])).to_dict()
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
            raise gr.Error(texts.TOO_MANY, print_exception=False)
        rows: list[dict] = []
        if not songs:
            yield rows
        for song in songs:
            row = {"file": "song"}
            try:
                upload = _uploaded(song)
                row["file"] = upload.get("orig_name") or "song"
                row |= classifier.classify(uploads.Upload(upload["path"])).to_dict()
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
        return {"path": _saved(song.partition(",")[2])}
    if isinstance(song, str) and song.startswith(("http://", "https://")):
        try:
            path = processing_utils.ssrf_protected_download(song, str(uploads.FOLDER))
        except gr.Error as error:
            raise genre.AudioError(error.message) from error
        except Exception as error:  # of any kind where the address is malformed
            raise genre.AudioError(texts.NO_ADDRESS) from error
        return {"path": path, "orig_name": Path(path).name}
    if isinstance(song, dict) and isinstance(song.get("path"), str):
        return song
    raise genre.AudioError(texts.SEND_A_FILE)


def _saved(content: str) -> str:
    """Path of a new upload with this content, which is encoded in base64; raises AudioError as `_uploaded`."""
    if len(content) * 3 // 4 > MAX_FILE_SIZE:
        raise genre.AudioError(texts.TOO_LARGE)
    try:
        path = uploads.new_folder() / "song"
        path.write_bytes(base64.b64decode(content))
    except binascii.Error as error:
        raise genre.AudioError(texts.SEND_A_FILE) from error
    except OSError as error:
        raise genre.AudioError(texts.NO_ROOM) from error
    return str(path)


class BoundedTransport(httpx.AsyncBaseTransport):
    """Reads responses without decompression, up to `MAX_FILE_SIZE`.

    Raises:
        gradio.Error: the host has no public address or does not answer, or the response is too large or an error.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._fetch(request)
        except gr.Error:  # which is a ValueError
            raise
        except (ValueError, OSError, httpx.HTTPError) as error:
            raise gr.Error(texts.NO_ADDRESS, print_exception=False) from error

    async def _fetch(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        host, of_the_hub = request.url.host, processing_utils.PUBLIC_HOSTNAME_WHITELIST
        if matches_domain_whitelist(host, of_the_hub):  # whose address is private on Spaces
            transport = httpx.AsyncHTTPTransport()
        else:
            transport = AsyncSecureTransport(await async_validate_url(host))
        async with transport:
            response = await transport.handle_async_request(request)
            content = bytearray()
            async for piece in cast(httpx.AsyncByteStream, response.stream):  # of an asynchronous transport
                content += piece
                if len(content) > MAX_FILE_SIZE:
                    raise gr.Error(texts.TOO_LARGE, print_exception=False)
        if response.status_code >= 400:
            raise gr.Error(texts.ADDRESS_STATUS.format(status=response.status_code), print_exception=False)
        makes_httpx_decode = b"content-encoding", b"content-length", b"transfer-encoding"
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in makes_httpx_decode]
        return httpx.Response(response.status_code, headers=headers, content=bytes(content))
