"""The folder of uploads. Import this module before Gradio, which reads GRADIO_TEMP_DIR on import.

Gradio deletes the files of sessions that it has in memory. Files of a process that was killed, and uploads that were
cancelled, stay; a thread therefore deletes all old files in the folder, which the app uses alone.
"""

import errno
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from genre.web import PLAYBACK, texts

if TYPE_CHECKING:
    from gradio import Blocks

NAME = "genre"
TTL_SECONDS = 3300  # time to live of a file, so that it is deleted within the hour
UNFINISHED_TTL_SECONDS = 300  # of an upload that has received no further byte
CHECK_SECONDS = 60


def _own_folder() -> Path:
    """Create a folder and set GRADIO_TEMP_DIR to it; exits with one line if that is impossible."""
    try:
        folder = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir(), "gradio"), NAME).resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SystemExit("Uploads have no folder: set GRADIO_TEMP_DIR to one that can be written to.") from error
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


FOLDER = _own_folder()


def keep_clean(page: "Blocks") -> None:
    """Start a thread that deletes old files, and exempt the examples, which Gradio copies to the folder only once."""
    exempt = set()
    for block in page.blocks.values():
        block.keep_in_cache |= block.temp_files
        exempt |= block.keep_in_cache

    def work() -> None:
        while True:
            with suppress(OSError):  # a folder vanished while it was listed
                sweep(exempt)
            time.sleep(CHECK_SECONDS)

    threading.Thread(target=work, daemon=True).start()


def sweep(exempt: set[str]) -> None:
    """Delete files and empty folders older than their time to live, but for the paths in `exempt`.

    A playback copy goes as soon as its upload is gone. Unfinished uploads are directly in `FOLDER`, finished ones in
    folders of their own.
    """
    for path in sorted(FOLDER.rglob("*"), reverse=True):  # contents before their folder
        ttl = UNFINISHED_TTL_SECONDS if path.parent == FOLDER else TTL_SECONDS
        with suppress(OSError):  # Gradio has deleted it meanwhile, or the folder is not empty
            old = time.time() - path.lstat().st_ctime > ttl
            if str(path) not in exempt and (old or _has_lost_its_upload(path)):
                path.rmdir() if path.is_dir() else path.unlink()


def _has_lost_its_upload(path: Path) -> bool:
    """Whether a file is a playback copy, or the beginning of one, of an upload that has been deleted."""
    return path.parent.name == PLAYBACK and not any(one.is_file() for one in path.parent.parent.iterdir())


class DiskSpaceCheck:
    """ASGI middleware that answers uploads larger than the free disk space with status 507."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("/upload"):
            return await self.app(scope, receive, send)
        refusal = PlainTextResponse(texts.NO_ROOM, 507)
        if int(Headers(scope=scope).get("content-length", 0)) > shutil.disk_usage(FOLDER).free:
            async for _ in Request(scope, receive).stream():  # a client that still sends would not read a response
                pass
            return await refusal(scope, receive, send)
        try:
            with suppress(ClientDisconnect):
                await self.app(scope, receive, send)
        except OSError as error:  # the disk became full meanwhile
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            await refusal(scope, receive, send)
