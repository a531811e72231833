import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from genre.inference.jsonl import JsonLines, LinesError
from tests.conftest import ROOT

SONG = {"file": "song.mp3", "genre": "Folk", "checkpoint": "fma-small"}
BROKEN = {"file": "broken.mp3", "error": "This file is empty."}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "genres.jsonl"


def write(path, *rows):
    with JsonLines(path, "fma-small") as lines:
        for row in rows:
            lines.write(row)


def test_a_later_run_knows_what_is_there(path):
    write(path, SONG, BROKEN)
    before = path.read_bytes()
    with JsonLines(path, "fma-small") as lines:
        assert lines.files == {"song.mp3", "broken.mp3"}
        assert lines.failed == 1
    assert path.read_bytes() == before


def test_wherever_the_last_line_breaks_off_the_others_stay(path):
    write(path, SONG, BROKEN)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        with JsonLines(path, "fma-small") as lines:
            assert lines.files == {"song.mp3"}
            lines.write(BROKEN)
        assert path.read_bytes() == whole


def test_names_that_are_not_text_are_told_apart(path):
    names = {os.fsdecode(name) for name in (b"caf\xe8.mp3", b"caf\xe9.mp3", "café.mp3".encode())}
    write(path, *(SONG | {"file": name} for name in names))
    with JsonLines(path, "fma-small") as lines:
        assert lines.files == names


@pytest.mark.parametrize("content", ["no music", "no music\n", '{"file": "a.mp3"}\n[1]\n', '{"files": []}\n', "\0\0\0"])
def test_a_file_that_holds_something_else_is_left_alone(path, content):
    path.write_text(content)
    with pytest.raises(LinesError, match="holds something else in line"):
        JsonLines(path, "fma-small")
    assert path.read_text() == content


def test_verdicts_of_two_models_are_not_mixed(path):
    write(path, BROKEN, SONG)
    with pytest.raises(LinesError, match="holds verdicts of fma-small, not of mine"):
        JsonLines(path, "mine")


def test_two_runs_do_not_write_at_once(path):
    with JsonLines(path, "fma-small"), pytest.raises(LinesError, match="Another process is writing"):
        JsonLines(path, "fma-small")
    write(path, SONG)


def test_no_lock_is_left_behind(path):
    write(path, SONG)
    with pytest.raises(LinesError, match="not of mine"):
        JsonLines(path, "mine")
    assert list(path.parent.iterdir()) == [path]


def test_a_run_that_was_killed_locks_nobody_out(path):
    hold = "import os, sys; from pathlib import Path; from genre.inference.jsonl import JsonLines"
    hold += "; held = JsonLines(Path(sys.argv[1]), 'fma-small'); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", hold, path], cwd=ROOT, check=False).returncode == -9
    assert len(list(path.parent.iterdir())) == 2
    write(path, SONG)
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(LinesError, match="cannot be written: No such file or directory"):
        JsonLines(tmp_path / "nowhere" / "genres.jsonl", "fma-small")
    with pytest.raises(LinesError, match="cannot be written: Is a directory"):
        JsonLines(tmp_path, "fma-small")


@contextmanager
def small_disk(room):
    """Files may have so many bytes, as on a disk that fills up; over before pytest writes again."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_said_and_leaves_the_rows_that_it_took(path):
    write(path, SONG)
    with (
        pytest.raises(LinesError, match="cannot be written: File too large"),
        small_disk(path.stat().st_size + 10),
    ):
        write(path, BROKEN)
    assert path.read_bytes().endswith(b'"}\n{"file": "')
    with JsonLines(path, "fma-small") as lines:
        assert lines.files == {"song.mp3"}
