"""The address of the page, as a visitor's browser has it."""

import gradio as gr
from gradio.route_utils import get_root_url

JOINED = "/gradio_api/queue/join"  # route of events with a queue
RUN = "/gradio_api/run/predict"  # of events without one


def page_address(request: gr.Request, route: str = JOINED) -> str:
    """Address of the page, from the request of an event."""
    return get_root_url(request.request, route, None) if request.request else ""
