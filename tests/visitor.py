"""A visitor without a browser: uploads files and calls the functions of the page, or its tools by MCP."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


class Visitor:
    """HTTP client of the app at an address."""

    def __init__(self, address: str):
        self.http = httpx.Client(base_url=f"{address}/gradio_api", timeout=120)
        config = httpx.get(f"{address}/config", timeout=120).json()
        self.session = uuid.uuid4().hex
        self.functions = {one["api_name"]: one["id"] for one in config["dependencies"]}

    def send(self, name: str, content: bytes) -> httpx.Response:
        """Upload a file."""
        return self.http.post("/upload", files={"files": (name, content)})

    def upload(self, path: Path) -> dict:
        """Upload a file that must be accepted; returns the value that the functions of the page take."""
        (stored,) = self.send(path.name, path.read_bytes()).raise_for_status().json()
        return file(stored)

    def ask(self, function: str, *data: object, event: object = None) -> str:
        """Call a function of the page; returns all events of the server, one line of JSON each."""
        request = {
            "fn_index": self.functions[function],
            "data": data,
            "event_data": event,
            "session_hash": self.session,
        }
        joined = self.http.post("/queue/join", json=request)
        if joined.status_code != 200:
            return joined.text
        return self.http.get("/queue/data", params={"session_hash": self.session}).text

    def classify(self, song: object) -> dict | str | None:
        """Call `/classify`; returns the prediction, or the error message."""
        event = self.http.post("/call/classify", json={"data": [song]}).raise_for_status().json()["event_id"]
        kind, data = self.http.get(f"/call/classify/{event}").text.strip().splitlines()[-2:]
        answer = json.loads(data.removeprefix("data: "))
        return answer[0] if kind == "event: complete" else answer["error"]


def file(path: str) -> dict:
    """A file on the server as a value of gradio.FileData."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def dropped(*songs: dict) -> dict:
    """The event by which a tab for multiple songs gets uploads."""
    return {"files": [[song["path"], Path(song["path"]).name] for song in songs]}


@asynccontextmanager
async def mcp_session(server: str) -> AsyncIterator[ClientSession]:
    async with (
        streamablehttp_client(f"{server}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session
