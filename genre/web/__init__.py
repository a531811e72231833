"""The Gradio page. Only this package and app.py depend on Gradio."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"  # style sheet and scripts
QUIET = {"api_visibility": "private", "show_progress": "hidden"}  # of events that are not part of the API
