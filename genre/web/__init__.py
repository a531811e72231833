"""The parts of the page, one a file. Only here and in app.py does the project lean on Gradio."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"  # style sheet and scripts
QUIET = {"api_visibility": "private", "show_progress": "hidden"}  # events that are the page's own business
