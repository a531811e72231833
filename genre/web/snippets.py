"""Code snippets in Python, curl and MCP that call the API, with the page's address and the visitor's file names."""

import json
import shlex
from pathlib import Path
from typing import Literal

import gradio as gr
from gradio.events import Dependency
from gradio.route_utils import get_root_url

from genre.web import QUIET, texts

JOIN = "/gradio_api/queue/join"  # of events with a queue
RUN = "/gradio_api/run/predict"  # of events without one
ANY_SONG = ["song.mp3"]


def build(page: gr.Blocks, song: gr.Audio, added: Dependency, latest: gr.State, model: str) -> None:
    """Lay out and wire the accordion.

    Args:
        model: name of the model that the calls use.
        song: audio component of the tab of one song.
        added: event that adds songs to the batch.
        latest: names of the files that were chosen last.
    """

    def fill(names: list[str], request: gr.Request) -> tuple[str, str, str]:
        address, names = page_address(request, RUN), names or ANY_SONG
        return python(address, names), curl(address, names), mcp(address)

    def one(path: str | None) -> list[str]:
        return [Path(path).name] if path else []

    with gr.Accordion(texts.SNIPPETS, open=False, elem_id="snippets"):
        gr.Markdown(texts.snippets_model(model))
        with gr.Tabs():
            with gr.Tab("Python"):
                in_python = _code("python")
            with gr.Tab("curl"):
                in_curl = _code("shell")
            with gr.Tab("MCP"):
                gr.Markdown(texts.MCP_MORE)
                in_mcp = _code("json")
    chosen = song.change(one, song, latest, queue=False, **QUIET)
    for event in (page.load, chosen.then, added.then):
        event(fill, latest, [in_python, in_curl, in_mcp], queue=False, **QUIET)


def page_address(request: gr.Request, route: str = JOIN) -> str:
    """Address of the page as a visitor's browser has it, from the request of an event by this route."""
    return get_root_url(request.request, route, None) if request.request else ""


def _code(language: Literal["python", "shell", "json"]) -> gr.Code:
    return gr.Code(
        language=language, interactive=False, show_label=False, buttons=["copy"], max_lines=20, show_line_numbers=False
    )


def python(address: str, names: list[str]) -> str:
    """A Python script; needs only gradio_client."""
    return f"""from gradio_client import Client, handle_file

client = Client({address!r})
songs = {_listed(names)}

result = client.predict(handle_file(songs[0]), api_name="/classify")
print(result["genre"], result["confidence"])

for song, result in zip(songs, client.predict([handle_file(song) for song in songs], api_name="/classify_batch")):
    print(song, result.get("genre") or result["error"])
"""


def _listed(names: list[str]) -> str:
    lines = "".join(f"    {name!r},\n" for name in names)
    return f"[{names[0]!r}]" if len(names) == 1 else f"[\n{lines}]"


def curl(address: str, names: list[str]) -> str:
    """A POSIX shell script: upload, submit, wait for the result. File names are quoted and never parsed by curl."""
    return f"""url={shlex.quote(address + "/gradio_api")}
for song in {" ".join(map(shlex.quote, names))}; do
  path=$(curl -sf -F 'files=@-;filename=song' "$url/upload" < "$song" | sed 's/^\\["//; s/"\\]$//')
  event=$(curl -sf "$url/call/classify" -H 'Content-Type: application/json' \\
    -d '{{"data": [{{"path": "'"$path"'", "meta": {{"_type": "gradio.FileData"}}}}]}}' | cut -d '"' -f 4)
  curl -sNf "$url/call/classify/$event"
done
"""


def mcp(address: str) -> str:
    """The JSON entry for the settings of an MCP client."""
    return json.dumps({"mcpServers": {"genre": {"url": f"{address}/gradio_api/mcp/"}}}, indent=2)
