"""The Gradio page. Only this package depends on Gradio.

Importing it sets GRADIO_TEMP_DIR, which Gradio reads while it is itself imported, and imports Gradio.
"""

import inspect
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

STATIC = Path(__file__).parent / "static"  # style sheet and scripts
# Options of events that are not part of the API.
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
UNQUEUED: dict[str, Any] = {"queue": False, **QUIET}  # of those that take no time


def script(name: str) -> str:
    """A script of the folder `static`, for `js_on_load` of a component; each says what Gradio lacks without it."""
    return (STATIC / name).read_text(encoding="utf-8")


def _own_folder() -> Path:
    """Create a folder and set GRADIO_TEMP_DIR to it; exits with one line if that is impossible."""
    try:
        folder = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir(), "gradio"), "genre").resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SystemExit("Uploads have no folder: set GRADIO_TEMP_DIR to one that can be written to.") from error
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


UPLOADS = _own_folder()  # which the page uses alone


def _import_gradio() -> None:
    """Import Gradio without the type stubs (.pyi) that 6.31 writes for all of its components, every time for a second.

    It writes none for a class whose file is not known.
    """
    getfile = inspect.getfile

    def without_components(thing: Any) -> str:
        if type(thing).__name__ == "ComponentMeta":
            raise OSError
        return getfile(thing)

    with mock.patch("inspect.getfile", without_components):
        import gradio  # noqa: F401


_import_gradio()
