"""Limits of the page, set by environment variables; the defaults suit two cores.

GENRE_MAX_FILE_SIZE=50mb GENRE_PARALLEL_JOBS=8 python app.py
"""

import os
import re

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")  # user/repo@revision
UNITS = {"kb": 2**10, "mb": 2**20, "gb": 2**30}


def _setting(name: str, default: str, pattern: str, meaning: str) -> str:
    """The variable GENRE_<name>; exits with one line if it does not match the pattern in full."""
    text = os.environ.get(f"GENRE_{name}", default)
    if not re.fullmatch(pattern, text):
        raise SystemExit(f"GENRE_{name} must be {meaning}, not {text!r}.")
    return text


def _number(name: str, default: int) -> int:
    return int(_setting(name, str(default), "[1-9][0-9]*", f"a whole number above 0, such as {default}"))


def _size(name: str, default: str) -> int:
    """A size such as "50mb", in bytes."""
    text = _setting(name, default, "(?i)[1-9][0-9]*(kb|mb|gb)", f"a number of kb, mb or gb, such as {default}").lower()
    return int(text[:-2]) * UNITS[text[-2:]]


def _models(default: str) -> tuple[str, ...] | None:
    """Names of models on the Hub; None for any."""
    pattern = rf"\s*(any|({HUB_NAME.pattern}(\s+|$))*)\s*"
    names = _setting("MODELS", default, pattern, "any or names of models, such as user/repo other/repo").split()
    return None if names == ["any"] else tuple(names)


MAX_FILE_SIZE = _size("MAX_FILE_SIZE", "200mb")
# That visitors may choose besides those in checkpoints/. On a Space none, since visitors would take a stranger's model
# for one of the people whose page it is, and each is a download.
MODELS = _models("" if "SPACE_ID" in os.environ else "any")
MODEL_SECONDS = _number("MODEL_SECONDS", 60)  # for which a visitor waits for a model from the Hub
MAX_MODEL_SIZE = _size("MAX_MODEL_SIZE", "200mb")  # bytes; all files of a model from the Hub
MAX_SECONDS = _number("MAX_SECONDS", 30 * 60)  # of a recording that are classified
JOB_SECONDS = _number("JOB_SECONDS", 120)  # after which decoding stops and the audio so far is classified
PARALLEL_JOBS = _number("PARALLEL_JOBS", 2)  # of each kind (a song, a batch, live, an explanation ...) at the same time
MAX_WAITING = _number("MAX_WAITING", 64)  # jobs in the queue; further ones are refused
MAX_SONGS = _number("MAX_SONGS", 100)  # in a batch
TEACH = (
    _setting("TEACH", "on", "on|off", "on or off, such as on") == "on"
)  # whether there is a tab on which visitors teach their own genres
MAX_TAUGHT_SONGS = _number("MAX_TAUGHT_SONGS", 100)  # of a visitor; the features of one take 0.2 MB
MAX_TAUGHT_GENRES = _number("MAX_TAUGHT_GENRES", 8)  # of a visitor; there are as many colours
MAX_TAUGHT_SECONDS = _number("MAX_TAUGHT_SECONDS", 120)  # of a song that are learned from, as by train.py
MAX_LESSONS = _number("MAX_LESSONS", 10)  # visitors whose features and model are in memory, those that used them last
MAX_RECORDING_SECONDS = _number("MAX_RECORDING_SECONDS", 600)  # of the microphone; then the recording stops by itself
