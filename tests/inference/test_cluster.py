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
from distributed.protocol.pickle import dumps

from genre.__main__ import main
from genre.errors import AudioError
from genre.inference import cluster, report
from tests.conftest import ROOT, music, write_audio

POISON = "poison.mp3"


@pytest.fixture(scope="module")
def workers():
    """A cluster of two workers on this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as local:
        yield local


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Songs in folders, a name that is not UTF-8, a broken file and something else."""
    folder = tmp_path_factory.mktemp("archive")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "broken.mp3").write_text("no music")
    for seconds in range(3, 33):
        write_audio(folder / f"{seconds}.wav", [music(seconds)], "pcm_s16le")
    (folder / "9.wav").rename(os.fsdecode(os.fsencode(folder / "caf") + b"\xe9.wav"))
    return folder


@pytest.fixture(scope="module")
def expected(archive, classifier):
    """Rows by name, made without a cluster."""
    rows, threads = {}, torch.get_num_threads()
    torch.set_num_threads(1)
    for path in archive.rglob("*.*"):
        if path.suffix in (".mp3", ".wav"):
            try:
                result = classifier.classify(path)
            except AudioError as error:
                result = error
            (row,) = report.rows([(path, result)])
            rows[str(path)] = row | {"file": str(path)}
    torch.set_num_threads(threads)
    return rows


def test_a_killed_worker_costs_no_row(workers, archive, expected, tmp_path):
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


def test_a_killed_run_goes_on_where_it_stopped(workers, archive, expected, tmp_path):
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

    done = out.read_bytes()
    assert main(options(archive, "tcp://127.0.0.1:1", out)) == 1  # no cluster is needed any more
    assert out.read_bytes() == done


class Poison(WorkerPlugin):
    """Has a file kill the worker that hears it, as no file should be able to."""

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


def test_a_file_that_kills_every_worker_is_a_row_and_takes_no_other_along(
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
    assert rows.pop(poison) == {"file": poison, "error": "This file took down every worker that heard it."}
    assert rows == {name: expected[name] for name in songs}


def test_files_are_handed_out_a_few_at_a_time(workers, tmp_path):
    """Files that take no time, so that only the window holds them back."""
    names = [str(tmp_path / f"{i}.mp3") for i in range(100)]
    taken = []

    def hand_out():
        for name in names:
            (tmp_path / name).write_text("no music")
            taken.append(name)
            yield name

    with Client(workers) as client:
        done = []
        for row in cluster.classify_all(client, hand_out(), None, 0.0):
            assert len(taken) - len(done) <= cluster.AHEAD * 2
            done.append(row["file"])
    assert sorted(done) == sorted(names)


def test_all_cores_of_this_machine(archive, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(archive)
    monkeypatch.setattr("distributed.deploy.local.CPU_COUNT", 2)
    out = tmp_path / "genres.jsonl"
    assert main(["examples", "missing.mp3", "examples/arpeggio.mp3", "--cluster", "local", "--out", str(out)]) == 1
    rows = rows_of(out)
    assert rows.pop("missing.mp3")["error"] == "'missing.mp3' cannot be opened: there is no such file."
    for name, row in rows.items():
        assert row == expected[str(archive / name)] | {"file": name}
    assert set(rows) == {f"examples/{path.name}" for path in (archive / "examples").glob("*.mp3")}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [(OSError("no such file"), "in the same place"), (ModuleNotFoundError("No module named 'genre'"), "the project")],
)
def test_a_machine_that_lacks_something_stops_the_run(example, fault, sentence):
    with pytest.raises(cluster.ClusterError, match=sentence):
        cluster._row(str(example), fault)


def test_a_pipe_is_refused_rather_than_waited_for(workers, example, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    out = tmp_path / "genres.jsonl"
    assert main(options(tmp_path / "pipe.mp3", workers, out, str(example))) == 1
    rows = rows_of(out)
    assert rows[str(tmp_path / "pipe.mp3")]["error"] == "This is a pipe, which a cluster cannot read."
    assert rows[str(example)]["genre"] == "Electronic"


def test_a_scheduler_needs_no_project(tmp_path):
    """What it is sent can be unpacked without, and says what is missing when it is called."""
    (tmp_path / "task").write_bytes(dumps(cluster._task("/", None, 0.0)))
    program = "import pickle; task = pickle.load(open('task', 'rb')); print('unpacked'); task('song.mp3')"
    command = [sys.executable, "-I", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "unpacked\n"
    assert "No module named 'genre'" in done.stderr


def options(file, workers, out, *files):
    address = workers if isinstance(workers, str) else workers.scheduler_address
    return [str(file), *files, "--cluster", address, "--out", str(out)]


def rows_of(out):
    """Rows by name, one a file."""
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    by_name = {row["file"]: row for row in rows}
    assert len(by_name) == len(rows)
    return by_name


def wait_for_rows(out, count):
    """Until there are so many rows; returns how many there are."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        there = out.read_bytes().count(b"\n") if out.exists() else 0
        if there >= count:
            return there
        time.sleep(0.02)
    pytest.fail(f"there are no {count} rows in {out}")
