import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import WorkerPlugin

from genre.cli import main
from genre.errors import AudioError, GenreError
from genre.inference import cluster
from genre.inference.cluster import state_of
from genre.inference.export import to_row
from genre.models.model import SHIPPED
from tests.conftest import ROOT, music, write_audio

POISON = "poison.mp3"
RUN = {"schema": 1, "checkpoint": "fma-small", "overlap": 0.0}  # in every row, besides the hash of the checkpoint


@pytest.fixture(scope="module")
def workers():
    """A cluster of two workers on this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as local:
        yield local


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Songs in sub-folders, a file name that is not UTF-8, a file that is not audio and one with another extension."""
    folder = tmp_path_factory.mktemp("archive")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "broken.mp3").write_text("no music")
    for seconds in range(3, 33):
        write_audio(folder / f"{seconds}.wav", [music(seconds)], "pcm_s16le")
    (folder / "9.wav").rename(os.fsdecode(os.fsencode(folder / "caf") + b"\xe9.wav"))
    return folder


@pytest.fixture(scope="module")
def expected(archive, classifier):
    """Rows by file name, computed without a cluster."""
    rows, threads = {}, torch.get_num_threads()
    torch.set_num_threads(1)
    for path in archive.rglob("*.*"):
        if path.suffix in (".mp3", ".wav"):
            try:
                result = classifier.classify(path)
            except AudioError as error:
                result = error
            rows[str(path)] = to_row(path, result) | {"file": str(path)} | RUN | state_of(str(path))
    torch.set_num_threads(threads)
    return rows


def test_no_row_is_lost_when_a_worker_is_killed(workers, archive, expected, tmp_path):
    out, killed_at = tmp_path / "genres.jsonl", []

    def kill():
        killed_at.append(wait_for_rows(out, 5))
        os.kill(workers.workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert main(options(archive, workers, out)) == 1  # the broken file
    killer.join()
    assert 5 <= killed_at[0] < len(expected)
    assert rows_of(out) == expected


def test_a_killed_run_is_resumed(workers, archive, expected, tmp_path):
    out = tmp_path / "genres.jsonl"
    client = subprocess.Popen(
        [sys.executable, "-m", "genre", *options(archive, workers, out)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    wait_for_rows(out, 5)
    client.kill()
    client.wait(20)
    before = out.read_bytes()
    assert 5 <= before.count(b"\n") < len(expected)

    assert main(options(archive, workers, out)) == 1
    assert out.read_bytes().startswith(before[: before.rindex(b"\n") + 1])
    assert rows_of(out) == expected

    again, (broken,) = archive / "broken.mp3", [name for name, row in expected.items() if "error" in row]
    assert broken == str(again)
    shutil.copy(ROOT / "examples" / "arpeggio.mp3", again)
    try:
        assert main(options(archive, workers, out)) == 0  # what failed is tried again
    finally:
        again.write_text("no music")
    rows = rows_of(out)
    assert "error" not in rows.pop(broken)
    assert rows == {name: row for name, row in expected.items() if name != broken}


def test_a_folder_that_goes_away_stops_the_run_and_leaves_no_row(workers, tmp_path, capsys):
    share, away, out = tmp_path / "share", tmp_path / "away", tmp_path / "genres.jsonl"
    (share / "album").mkdir(parents=True)
    song = write_audio(tmp_path / "song.wav", [music(3)], "pcm_s16le")
    for number in range(40):
        shutil.copy(song, share / "album" / f"{number}.wav")

    def unmount():  # the folder in which a drive was mounted stays, and is empty
        wait_for_rows(out, 2)
        (share / "album").rename(away)

    thread = threading.Thread(target=unmount)
    thread.start()
    assert main(options(share, workers, out)) == 2
    thread.join()
    message = f"The folder {share / 'album'} is no longer there; run the same command again to resume.\n"
    assert capsys.readouterr().err.endswith(message)
    assert not any("error" in row for row in rows_of(out).values())
    away.rename(share / "album")
    assert main(options(share, workers, out)) == 0
    assert len(rows_of(out)) == 40


class Poison(WorkerPlugin):
    """Makes a file kill the worker that classifies it, like a bug in native code."""

    name = "poison"

    def setup(self, worker):
        self.classify = cluster.classify
        cluster.classify = self._classify

    def teardown(self, worker):
        cluster.classify = self.classify

    def _classify(self, name, *arguments):
        if name.endswith(POISON):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.classify(name, *arguments)


def test_a_file_that_kills_workers_gets_an_error_and_other_files_are_classified(
    workers, expected, example, tmp_path, monkeypatch
):
    monkeypatch.setattr(workers.scheduler, "allowed_failures", 0)
    songs = [name for name in expected if name.endswith(".wav")][:8]
    poison = str(shutil.copy(example, tmp_path / POISON))
    out = tmp_path / "genres.jsonl"
    with Client(workers) as client:
        client.register_plugin(Poison())
        assert main(options(poison, workers, out, *songs)) == 1
        client.unregister_worker_plugin(Poison.name)
    rows = rows_of(out)
    assert rows.pop(poison) == RUN | state_of(poison) | {
        "file": poison,
        "error": "This file crashed every worker that classified it.",
    }
    assert rows == {name: expected[name] for name in songs}


def test_a_local_cluster_gives_the_same_rows(archive, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(archive)
    monkeypatch.setattr("distributed.deploy.local.CPU_COUNT", 2)
    out = tmp_path / "genres.jsonl"
    assert main(["examples", "missing.mp3", "examples/arpeggio.mp3", "--cluster", "local", "--out", str(out)]) == 1
    assert "missing.mp3: 'missing.mp3' cannot be opened: there is no such file." in capsys.readouterr().err
    rows = rows_of(out)  # without the missing one
    for name, row in rows.items():
        assert row == expected[str(archive / name)] | {"file": name}
    assert set(rows) == {f"examples/{path.name}" for path in (archive / "examples").glob("*.mp3")}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [(OSError("no such file"), "the same path"), (ModuleNotFoundError("No module named 'genre'"), "the project")],
)
def test_a_worker_without_the_files_or_the_project_ends_the_run(example, fault, sentence):
    with pytest.raises(GenreError, match=sentence):
        cluster._row(str(example), fault)


def test_workers_never_use_another_checkpoint_of_the_same_name(workers, example, tmp_path):
    mine = shutil.copytree(SHIPPED / "fma-small", tmp_path / "mine")
    song = [str(example), "--checkpoint", str(mine), "--cluster", workers.scheduler_address, "--out"]
    assert main([*song, str(tmp_path / "before.jsonl")]) == 0
    config = mine / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"name": "retrained"}))
    assert main([*song, str(tmp_path / "after.jsonl")]) == 0  # the workers still run
    (row,) = rows_of(tmp_path / "after.jsonl").values()
    assert row["checkpoint"] == "retrained"
    with (
        Client(workers) as client,
        pytest.raises(GenreError, match="^A worker has another checkpoint"),
    ):
        list(cluster.classify_all(client, [str(example)], str(mine), "another", 0.0))


def test_a_pipe_gets_an_error(workers, example, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    out = tmp_path / "genres.jsonl"
    assert main(options(tmp_path / "pipe.mp3", workers, out, str(example))) == 1
    rows = rows_of(out)
    assert rows[str(tmp_path / "pipe.mp3")]["error"] == "This is a pipe, which a cluster cannot read."
    assert rows[str(example)]["genre"] == "Electronic"


def options(file, workers, out, *files):
    address = workers if isinstance(workers, str) else workers.scheduler_address
    return [str(file), *files, "--cluster", address, "--out", str(out)]


def rows_of(out):
    """Rows by file name, exactly one per file."""
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    by_name = {row["file"]: row for row in rows}
    assert len(by_name) == len(rows)
    assert len({row.pop("checkpoint_sha256") for row in rows}) == 1
    return by_name


def wait_for_rows(out, count):
    """Wait for at least `count` rows; returns how many there are."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        rows = out.read_bytes().count(b"\n") if out.exists() else 0
        if rows >= count:
            return rows
        time.sleep(0.02)
    pytest.fail(f"{out} has fewer than {count} rows")
