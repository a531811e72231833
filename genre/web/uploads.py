"""Files of visitors: their folder, decoding within the limits of the page, copies for playback, and the zone for many.

Gradio deletes the files of sessions that it has in memory. Files of a process that was killed, and uploads that were
cancelled, stay; a thread therefore deletes all old files in the folder.
"""

import errno
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gradio as gr
import numpy as np
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from genre.audio import decode, folders
from genre.audio.audio import Audio
from genre.errors import AudioError
from genre.models.model import SHIPPED
from genre.web import UPLOADS, script, texts
from genre.web.limits import JOB_SECONDS, MAX_FILE_SIZE, MAX_SECONDS

FOLDER = UPLOADS
EXAMPLE_FILES = ("guitar.mp3", "arpeggio.mp3", "boom_bap.mp3", "radio.mp3")
EXAMPLES = [SHIPPED.parent / "examples" / name for name in EXAMPLE_FILES]
TTL_SECONDS = 3300  # time to live of a file, so that it is deleted within the hour
UNFINISHED_TTL_SECONDS = 300  # of an upload that has received no further byte
CHECK_SECONDS = 60
PLAYBACK = "playback!"  # folder of the playback copy beside the upload, in whose name Gradio leaves no "!"
COPY = "copy"  # name of a complete one, before its suffix


def is_upload(path: str) -> bool:
    """Whether a path is in the folder of uploads."""
    try:
        return Path(path).resolve().is_relative_to(FOLDER)
    except ValueError:  # a path with a NUL character, which no system has
        return False


def new_folder() -> Path:
    """An empty folder among the uploads, whose content is deleted as theirs."""
    folder = FOLDER / secrets.token_hex(16)
    folder.mkdir()
    return folder


class Upload(Audio):
    """A file that a visitor has sent.

    At most `MAX_SECONDS` are decoded, and none after `JOB_SECONDS`; a note tells of either end. Nothing is read of a
    path outside the folder of uploads, since an API call may contain any path.
    """

    def __init__(self, path: str):
        super().__init__(path)
        self._path = path

    def _file(self) -> Path:
        """The upload; raises AudioError if it did not arrive, has been deleted, or if the path is none of an upload."""
        if not self._path:
            raise AudioError(texts.UPLOAD_FAILED)
        if not is_upload(self._path):
            raise AudioError(texts.NOT_SENT)
        if not Path(self._path).exists():
            raise AudioError(texts.DELETED)
        return Path(self._path)

    def pieces(self, rate: int, *, start: float = 0.0, seconds: float | None = None) -> Iterator[np.ndarray]:
        deadline, samples = time.monotonic() + JOB_SECONDS, 0
        for piece in super().pieces(rate, start=start, seconds=min(seconds or MAX_SECONDS, MAX_SECONDS)):
            if samples and time.monotonic() > deadline:
                self.notes.append(texts.OUT_OF_TIME)
                return
            samples += len(piece)
            yield piece
        if samples >= MAX_SECONDS * rate:
            self.notes.append(texts.limit_reached(MAX_SECONDS))


class PlaybackCopy:
    """The playback copy of an upload: written beside the classification by a decoding process, deleted with the upload.

    Leaving its context ends the work on it.

    Attributes:
        file: None until the copy is complete.
        ended: set once the work has ended, with a copy or without.
    """

    def __init__(self, upload: str):
        self.upload = Path(upload)
        self.file: Path | None = None
        self.ended, self._wanted = threading.Event(), True
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "PlaybackCopy":
        return self

    def __exit__(self, *_: object) -> None:
        self._wanted = False

    def begin(self) -> None:
        """Write it in a thread, unless it is there, or that has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, daemon=True)
            self._thread.start()

    def _write(self) -> None:
        folder, deadline = self.upload.parent / PLAYBACK, time.monotonic() + JOB_SECONDS
        part = folder / f"{secrets.token_hex(8)}.part"
        try:
            if found := next(folder.glob(f"{COPY}.*"), None):
                self.file = found
                return
            folder.mkdir(exist_ok=True)
            suffix = Upload(str(self.upload)).write_playback(
                part, MAX_SECONDS, lambda: self._wanted and time.monotonic() < deadline
            )
            if suffix:
                self.file = part.replace(folder / f"{COPY}.{suffix}")
        except (AudioError, OSError):  # also where the disk is full
            pass
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self.ended.set()


def examples() -> list[Path]:
    """Copies of the examples among the uploads, made where they are missing; they become as new, so that they stay."""
    copies = [FOLDER / f"example {number}" / example.name for number, example in enumerate(EXAMPLES)]
    for example, copy in zip(EXAMPLES, copies, strict=True):
        if copy.exists():
            os.utime(copy)
        else:
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(example, copy)
    return copies


def keep_clean() -> None:
    """Start a thread that deletes old files, but for the examples."""

    def work() -> None:
        while True:
            with suppress(OSError):  # a folder vanished while it was listed, or the disk is full
                examples()
                sweep()
            time.sleep(CHECK_SECONDS)

    threading.Thread(target=work, daemon=True).start()


def sweep() -> None:
    """Delete files and empty folders older than their time to live.

    A playback copy goes as soon as its upload is gone. Unfinished uploads are directly in `FOLDER`, finished ones in
    folders of their own.
    """
    for path in sorted(FOLDER.rglob("*"), reverse=True):  # contents before their folder
        ttl = UNFINISHED_TTL_SECONDS if path.parent == FOLDER else TTL_SECONDS
        with suppress(OSError):  # Gradio has deleted it meanwhile, or the folder is not empty
            old = time.time() - path.lstat().st_ctime > ttl
            if old or _has_lost_its_upload(path):
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


def stop_button() -> gr.Button:
    """The button that ends the uploads and the job of a tab with a zone for several songs; it is hidden at first."""
    return gr.Button(texts.STOP, visible=False, variant="stop", scale=0, min_width=96, elem_classes="ends-uploads")


def zone_for_songs(label: str, more: str, most: int, zone: str, field: str, group: int = 0) -> gr.HTML:
    """Lay out a zone for several songs, with a button that chooses a folder; it has an event `dropped`, see `dropped`.

    Args:
        more: text beside the button.
        most: number of songs that are taken.
        zone, field: `elem_id` of the tab's column, and of the field.
        group: number of songs of an event; 0 for all, which the tab then gets together.
    """
    gr.File(file_count="multiple", label=label, height=150, elem_id=field)
    return gr.HTML(
        f'<button type="button">{texts.FOLDER}</button><input type="file" webkitdirectory hidden>'
        f'<span>{more}</span><progress aria-hidden="true" hidden></progress><p role="status"></p>',
        js_on_load=script("folder.js"),
        elem_classes="folder",
        zone=zone,
        field=field,
        suffixes=sorted(decode.SUFFIXES),
        hidden=folders.HIDDEN,
        system=folders.SYSTEM,
        placeholder=folders.PLACEHOLDER,
        most=most,
        largest=MAX_FILE_SIZE,
        group=group,
        words=texts.UPLOADING,
        left_out=texts.LEFT_OUT,
    )


def dropped(event: gr.EventData) -> list[tuple[str, str]]:
    """(path, original name) of the files of an event; the path of one that was not sent is empty.

    So is one outside of the folder of uploads, since a visitor may send anything.
    """
    sent = getattr(event, "files", None)
    pairs = [tuple(one) for one in sent if isinstance(one, list)] if isinstance(sent, list) else []
    return [
        (pair[0] if is_upload(pair[0]) else "", pair[1])
        for pair in pairs
        if len(pair) == 2 and all(isinstance(part, str) for part in pair)
    ]
