"""What the page takes from its visitors. Every limit can be set from the environment; the defaults suit two cores.

GENRE_MAX_FILE_SIZE=50mb GENRE_PARALLEL_JOBS=8 python app.py
"""

import os
import re

UNITS = {"kb": 2**10, "mb": 2**20, "gb": 2**30}


def _number(name: str, default: int) -> int:
    """A setting that counts something; one that makes no sense ends the program with a sentence."""
    text = os.environ.get(f"GENRE_{name}", str(default))
    if not re.fullmatch("[1-9][0-9]*", text):
        raise SystemExit(f"GENRE_{name} must be a whole number above 0, such as {default}, not {text!r}.")
    return int(text)


def _size(name: str, default: str) -> int:
    """A setting such as "50mb", in bytes."""
    text = os.environ.get(f"GENRE_{name}", default)
    size = re.fullmatch("([1-9][0-9]*)(kb|mb|gb)", text.lower())
    if not size:
        raise SystemExit(f"GENRE_{name} must be a number of kb, mb or gb, such as {default}, not {text!r}.")
    return int(size[1]) * UNITS[size[2]]


MAX_FILE_SIZE = _size("MAX_FILE_SIZE", "200mb")
MAX_MODEL_SIZE = _size("MAX_MODEL_SIZE", "200mb")  # of the files of a model from the Hub
MAX_SECONDS = _number("MAX_SECONDS", 30 * 60)  # of a recording are heard
JOB_SECONDS = _number("JOB_SECONDS", 120)  # after which the verdict is on what was heard by then
PARALLEL_JOBS = _number("PARALLEL_JOBS", 2)
MAX_WAITING = _number("MAX_WAITING", 64)  # visitors in the queue; the next one is told to come back
MAX_SONGS = _number("MAX_SONGS", 100)  # of several at a time
