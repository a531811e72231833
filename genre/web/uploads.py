"""The folder of what visitors send. To be imported before Gradio, which reads once where that is.

Gradio deletes what it remembers. Of what a process that was killed or a visitor who left half-way leaves behind it
knows nothing, so the folder itself is looked through; it is one of its own, so that all in it may be deleted.
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

from genre.web import texts

if TYPE_CHECKING:
    from gradio import Blocks

NAME = "genre"
LIFE_SECONDS = 3300  # of a file, so that it is gone within the hour
UNFINISHED_SECONDS = 300  # without a further byte, after which an upload has been given up
CHECK_SECONDS = 60


def _own_folder() -> Path:
    """Make a folder and tell Gradio to use it."""
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
    """Delete what is old, now and from time to time, but for what the page has put there before its first visitor.

    That is copies of the examples, which are made once. Gradio itself would delete them with the uploads.
    """
    kept = set()
    for block in page.blocks.values():
        block.keep_in_cache |= block.temp_files
        kept |= block.keep_in_cache

    def work() -> None:
        while True:
            sweep(kept)
            time.sleep(CHECK_SECONDS)

    threading.Thread(target=work, daemon=True).start()


def sweep(kept: set[str]) -> None:
    """Delete files and empty folders that are too old, but for paths to keep.

    Uploads on their way lie in the folder itself.
    """
    for path in sorted(FOLDER.rglob("*"), reverse=True):  # what is in a folder before the folder
        life = UNFINISHED_SECONDS if path.parent == FOLDER else LIFE_SECONDS
        with suppress(OSError):  # Gradio was quicker, or something is still in the folder
            if str(path) not in kept and time.time() - path.lstat().st_ctime > life:
                path.rmdir() if path.is_dir() else path.unlink()


class Room:
    """Turns uploads away for which there is no room on the disk, before any of it is taken."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("/upload"):
            return await self.app(scope, receive, send)
        refusal = PlainTextResponse(texts.NO_ROOM, 507)
        if int(Headers(scope=scope).get("content-length", 0)) > shutil.disk_usage(FOLDER).free:
            async for _ in Request(scope, receive).stream():  # who is still sending would not hear the answer
                pass
            return await refusal(scope, receive, send)
        try:
            with suppress(ClientDisconnect):  # nobody is left to answer
                await self.app(scope, receive, send)
        except OSError as error:  # several uploads at once may fill it all the same
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            await refusal(scope, receive, send)
