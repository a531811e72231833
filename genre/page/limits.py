"""What the page takes from its visitors. Every limit can be set from the environment; the defaults suit two cores.

GENRE_MAX_FILE_SIZE=50mb GENRE_PARALLEL_JOBS=8 python app.py
"""

import os


def _setting(name: str, default: int | str) -> int | str:
    return type(default)(os.environ.get(f"GENRE_{name}", default))


MAX_FILE_SIZE = _setting("MAX_FILE_SIZE", "200mb")
MAX_SECONDS = _setting("MAX_SECONDS", 30 * 60)  # of a recording are heard
JOB_SECONDS = _setting("JOB_SECONDS", 120)  # after which the verdict is on what was heard by then
PARALLEL_JOBS = _setting("PARALLEL_JOBS", 2)
MAX_WAITING = _setting("MAX_WAITING", 64)  # visitors in the queue; the next one is told to come back
MAX_SONGS = _setting("MAX_SONGS", 100)  # of several at a time
