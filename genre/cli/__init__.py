"""The command line: classify files and folders, and stop cleanly on a signal."""

import sys
from pathlib import Path


def command_name() -> str:
    """How the command was started: as a module of Python, or by its own name where the package is installed."""
    return "python -m genre" if Path(sys.argv[0]).name == "__main__.py" else "genre"
