import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from genre.errors import GenreError
from genre.inference.cluster import JsonLines, state_of
from tests.conftest import ROOT

RUN = {"schema": 1, "checkpoint": "fma-small", "overlap": 0.0}
SONG = {"file": "song.mp3", "genre": "Folk"}
BROKEN = {"file": "broken.mp3", "error": "This file is empty."}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "genres.jsonl"


def write(path, *rows):
    with JsonLines(path, RUN) as out:
        for row in rows:
            out.write(row)


def test_rows_of_files_that_failed_or_were_replaced_are_written_anew(path, tmp_path):
    same, replaced, gone = (str(tmp_path / name) for name in ("same.mp3", "replaced.mp3", "gone.mp3"))
    for name in (same, replaced, gone):
        Path(name).write_text("music")
    write(path, *(SONG | {"file": name} | state_of(name) for name in (same, replaced, gone)), BROKEN)
    Path(replaced).write_text("other music")
    Path(gone).unlink()
    path.rename(tmp_path / "elsewhere.jsonl")
    path.symlink_to(tmp_path / "elsewhere.jsonl")
    with JsonLines(path, RUN) as out:
        to_do = [name for name in (same, replaced, gone, "broken.mp3", "new.mp3") if not out.is_done(name)]
        assert to_do == [replaced, "broken.mp3", "new.mp3"]  # what is gone keeps its row
        out.remove(to_do)
        assert out.failed == 0
        out.write(SONG | {"file": "broken.mp3"})
    assert [json.loads(line)["file"] for line in path.read_text().splitlines()] == [same, gone, "broken.mp3"]
    assert path.is_symlink() and not list(tmp_path.glob("*.tmp"))


def test_a_truncated_last_row_is_removed(path):
    write(path, SONG, BROKEN)
    complete = path.read_bytes()
    first = complete.index(b"\n") + 1
    for last in (
        *(complete[first:length] for length in range(first, len(complete))),
        bytes(9),
        complete[first:-5] + bytes(9),
    ):
        path.write_bytes(complete[:first] + last)
        with JsonLines(path, RUN) as out:
            assert set(out.files) == {"song.mp3"}
            out.write(BROKEN)
        assert path.read_bytes() == complete


def test_file_names_that_are_not_utf8_are_distinct(path):
    names = {os.fsdecode(name) for name in (b"caf\xe8.mp3", b"caf\xe9.mp3", "café.mp3".encode())}
    write(path, *(SONG | {"file": name} for name in names))
    with JsonLines(path, RUN) as out:
        assert set(out.files) == names


@pytest.mark.parametrize("content", ["no music", "no music\n", "[1]\n", '{"files": []}\n', "\0\0\0"])
def test_a_file_with_other_content_is_not_changed(path, content):
    path.write_text(content)
    with pytest.raises(GenreError, match="has other content in line"):
        JsonLines(path, RUN)
    assert path.read_text() == content


def test_a_device_is_refused():
    """Reading /dev/zero, or /dev/full, has no end."""
    with pytest.raises(GenreError, match="/dev/null is no file that a run could continue"):
        JsonLines(Path("/dev/null"), RUN)


@pytest.mark.parametrize(("name", "value"), [("schema", 2), ("checkpoint", "mine"), ("overlap", 0.5)])
def test_runs_with_other_settings_are_not_mixed(path, name, value):
    write(path, BROKEN)
    with pytest.raises(GenreError, match=f"with {name} {RUN[name]} and not with {name} {value}; choose another file"):
        JsonLines(path, RUN | {name: value})


def test_a_second_writer_is_refused(path):
    with JsonLines(path, RUN), pytest.raises(GenreError, match="Another process is writing"):
        JsonLines(path, RUN)
    write(path, SONG)


def test_a_killed_run_does_not_keep_the_lock(path):
    hold = "import os, sys; from pathlib import Path; from genre.inference.cluster import JsonLines"
    hold += "; held = JsonLines(Path(sys.argv[1]), {}); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", hold, path], cwd=ROOT, check=False).returncode == -9
    assert len(list(path.parent.iterdir())) == 2
    write(path, SONG)
    assert list(path.parent.iterdir()) == [path]


def test_a_path_that_cannot_be_written_raises(tmp_path):
    with pytest.raises(GenreError, match="cannot be written: No such file or directory"):
        JsonLines(tmp_path / "nowhere" / "genres.jsonl", RUN)
    with pytest.raises(GenreError, match="cannot be written: Is a directory"):
        JsonLines(tmp_path, RUN)


@contextmanager
def small_disk(room):
    """Limit the size of files to `room` bytes, as if the disk were full; left before pytest itself writes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_raises_and_complete_rows_remain(path):
    write(path, SONG)
    with (
        pytest.raises(GenreError, match="cannot be written: File too large"),
        small_disk(path.stat().st_size + 10),
    ):
        write(path, BROKEN)
    assert path.read_bytes().endswith(b'}\n{"file": "')
    with JsonLines(path, RUN) as out:
        assert set(out.files) == {"song.mp3"}
