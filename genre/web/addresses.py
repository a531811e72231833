"""Download of songs that API calls name by URL: from public hosts only, up to the file size limit.

Gradio reads a whole response into memory and decompresses it, without a limit; a transport can set one.
"""

from typing import cast

import gradio as gr
import httpx
from gradio.processing_utils import PUBLIC_HOSTNAME_WHITELIST
from safehttpx import AsyncSecureTransport, async_validate_url, matches_domain_whitelist

from genre.web import texts
from genre.web.limits import MAX_FILE_SIZE


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
    if matches_domain_whitelist(host, PUBLIC_HOSTNAME_WHITELIST):  # the Hub has private addresses on Spaces
        return httpx.AsyncHTTPTransport()
    return AsyncSecureTransport(await async_validate_url(host))


def _undecoded(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    """Headers without those that make httpx decode the content."""
    left_out = b"content-encoding", b"content-length", b"transfer-encoding"
    return [(name, value) for name, value in headers.raw if name.lower() not in left_out]
