"""The Gradio page. Only this package and app.py depend on Gradio."""

from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"  # style sheet and scripts
PLAYBACK = "playback!"  # folder of the playback copy beside the upload, in whose name Gradio leaves no "!"
# Options of events that are not part of the API.
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
