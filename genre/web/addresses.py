"""Songs that programs name by an address, for the server to fetch: from public hosts, within the limit of files.

Gradio reads an answer into memory whole, however long it is or becomes when it is unpacked; a transport may bound it.
"""

import gradio as gr
import httpx
from gradio.processing_utils import PUBLIC_HOSTNAME_WHITELIST
from safehttpx import AsyncSecureTransport, async_validate_url, matches_domain_whitelist

from genre.web import texts
from genre.web.limits import MAX_FILE_SIZE


class Bounded(httpx.AsyncBaseTransport):
    """Takes answers as they come, up to `MAX_FILE_SIZE`.

    Raises:
        ValueError: the host is none that everybody can reach.
        gradio.Error: the answer is too long.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        async with await _transport(request.url.host) as transport:
            answer = await transport.handle_async_request(request)
            content = bytearray()
            async for piece in answer.stream:
                content += piece
                if len(content) > MAX_FILE_SIZE:
                    raise gr.Error(texts.too_large(MAX_FILE_SIZE // 2**20), print_exception=False)
        return httpx.Response(answer.status_code, headers=_as_it_came(answer.headers), content=bytes(content))


async def _transport(host: str) -> httpx.AsyncHTTPTransport:
    if matches_domain_whitelist(host, PUBLIC_HOSTNAME_WHITELIST):  # the Hub, which Spaces reach by private addresses
        return httpx.AsyncHTTPTransport()
    return AsyncSecureTransport(await async_validate_url(host))


def _as_it_came(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    """Headers without what would have the content unpacked."""
    left_out = b"content-encoding", b"content-length", b"transfer-encoding"
    return [(name, value) for name, value in headers.raw if name.lower() not in left_out]
