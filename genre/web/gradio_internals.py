"""What the page uses of Gradio beyond its public API, as of Gradio 6.31: look here first when Gradio is updated.

`processing_utils.async_transport`: Gradio downloads songs that API calls name by URL with it. It reads a whole response
into memory and decompresses it, without a limit, and no option sets one; this transport does.

`processing_utils.ssrf_protected_download`: Gradio fetches the URL of a file, but not those in a list of files, as MCP
clients send them; this is the function by which it does, from public hosts only.

The scripts in `static` know class names and addresses of Gradio's page; each says at its top what it is for.
"""

from pathlib import Path
from typing import cast

import gradio as gr
import httpx
from gradio import processing_utils
from safehttpx import AsyncSecureTransport, async_validate_url, matches_domain_whitelist

from genre.errors import AudioError
from genre.web import texts, uploads
from genre.web.limits import MAX_FILE_SIZE


def bound_downloads() -> None:
    """Make Gradio download at most `MAX_FILE_SIZE`."""
    processing_utils.async_transport = BoundedTransport()  # type: ignore[assignment]  # declared None


def download(address: str) -> Path:
    """Download a song to the folder of uploads.

    Raises:
        AudioError: the address cannot be fetched.
    """
    try:
        return Path(processing_utils.ssrf_protected_download(address, str(uploads.FOLDER)))
    except gr.Error as error:
        raise AudioError(error.message) from error
    except Exception as error:  # of any kind where the address is malformed
        raise AudioError(texts.NO_ADDRESS) from error


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
        async with await _transport(request.url.host) as transport:
            response = await transport.handle_async_request(request)
            content = bytearray()
            async for piece in cast(httpx.AsyncByteStream, response.stream):  # of an asynchronous transport
                content += piece
                if len(content) > MAX_FILE_SIZE:
                    raise gr.Error(texts.too_large(MAX_FILE_SIZE), print_exception=False)
        if response.status_code >= 400:
            raise gr.Error(texts.address_status(response.status_code), print_exception=False)
        return httpx.Response(response.status_code, headers=_undecoded(response.headers), content=bytes(content))


async def _transport(host: str) -> httpx.AsyncHTTPTransport:
    # The Hub, whose address is private on Spaces.
    if matches_domain_whitelist(host, processing_utils.PUBLIC_HOSTNAME_WHITELIST):
        return httpx.AsyncHTTPTransport()
    return AsyncSecureTransport(await async_validate_url(host))


def _undecoded(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    """Headers without those that make httpx decode the content."""
    left_out = b"content-encoding", b"content-length", b"transfer-encoding"
    return [(name, value) for name, value in headers.raw if name.lower() not in left_out]
