import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from distributed import LocalCluster
from PIL import Image

import genre.inference
from genre import cli
from genre.audio import audio
from genre.cli import Stop, main
from genre.inference import cluster
from genre.inference.classify import Classifier
from tests.conftest import ROOT

# Runs a process without root's privilege to read every file
CAPABILITIES = "-dac_override,-dac_read_search"
UNPRIVILEGED = ["setpriv", "--bounding-set", CAPABILITIES, "--inh-caps", CAPABILITIES] if os.geteuid() == 0 else []


@pytest.fixture
def folder(tmp_path, example):
    """A folder with a song in a sub-folder, a broken file and a file that is not audio."""
    (tmp_path / "music" / "album").mkdir(parents=True)
    shutil.copy(example, tmp_path / "music" / "album" / "song, with comma.mp3")
    (tmp_path / "music" / "broken.mp3").write_text("no music")
    (tmp_path / "music" / "cover.jpg").write_bytes(b"image")
    return tmp_path / "music"


def test_json_has_one_object_per_file_including_failed_ones(folder, capsys):
    assert main([str(folder), "--json"]) == 1
    broken, song = sorted(json.loads(capsys.readouterr().out), key=lambda row: "error" not in row)
    assert broken["file"].endswith("broken.mp3")
    assert broken["error"] == "This is not an audio file that can be read, or it is damaged or incomplete."
    assert set(song) >= {"file", "genre", "confidence", "probabilities", "windows"}
    assert [w["start"] for w in song["windows"]] == [0, 3, 6, 9, 12]


def test_a_few_files_use_all_cores_and_many_files_one_each(tmp_path, example, monkeypatch):
    threads, seen = torch.get_num_threads(), []
    classify = Classifier.classify

    def watched(*arguments, **options):
        seen.append(torch.get_num_threads())
        return classify(*arguments, **options)

    monkeypatch.setattr(Classifier, "classify", watched)
    try:
        for number in range(5):
            shutil.copy(example, tmp_path / f"{number}.mp3")
            if number in (1, 4):
                torch.set_num_threads(4)
                assert main([str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    assert seen == [4] * 2 + [1] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([""], "the name is empty"),
        (["-", "--cluster", "local", "--out", "x"], "standard input does not work with"),
        (["a.mp3", "--cluster", "local"], "--cluster and --out go together"),
        (
            ["a.mp3", "--cluster", "local", "--out", "x", "--labels", "y"],
            "--labels and --picture do not work with --clu",
        ),
        (["https://example.org/song.mp3"], "curl -s https://example.org/song.mp3 | "),
        (["ftp://example.org/song.mp3"], "curl -s ftp://example.org/song.mp3 | "),
    ],
)
def test_options_that_cannot_be_met_are_refused(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "nowhere"], "There is no checkpoint 'nowhere'"),
        (["--labels", "file"], "file cannot be written: File exists.\n"),
        (["--picture", "file/below"], "file/below cannot be written: Not a directory.\n"),
        (["--cluster", "local", "--out", "folder"], "folder cannot be written: Is a directory.\n"),
        (["--cluster", "tcp://127.0.0.1:1", "--out", "x"], "No Dask scheduler answers at 'tcp://127.0.0.1:1'."),
        (["--cluster", "127.0.0.1:99999", "--out", "x"], "No Dask scheduler answers at '127.0.0.1:99999'."),
        (["--cluster", "nonsense://here", "--out", "x"], "No Dask scheduler answers at 'nonsense://here'."),
    ],
)
def test_what_is_missing_or_cannot_be_written_is_an_error_of_one_line(
    example, tmp_path, monkeypatch, capsys, options, message
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "TIMEOUT_SECONDS", 1)
    json_list = [] if "--out" in options else ["--json"]
    assert main([str(example), *options, *json_list]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message) and json.loads(out or "[]") == []


def test_messages_do_not_get_into_the_output_where_standard_error_is_closed(folder):
    (folder / "notes.txt").write_text("")
    command = f"{sys.executable} -m genre {folder} --json 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert len(json.loads(done.stdout)) == 2 and done.returncode == 1


def test_a_folder_without_audio_is_reported_and_counts_as_failed(tmp_path, folder, example, capsys):
    (tmp_path / "empty").mkdir()
    (folder / "broken.mp3").unlink()
    assert main([str(tmp_path / "empty"), str(folder), str(example)]) == 1
    out, err = capsys.readouterr()
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        str(folder / "album" / "song, with comma.mp3"),
        str(example),
    ]
    assert err.splitlines() == [
        f"{tmp_path / 'empty'}: no audio files in this folder",
        "1 other file skipped in folders: not audio or video by name",
    ]


def test_unreadable_files_and_folders_are_reported_and_count_as_failed(folder):
    (folder / "broken.mp3").unlink()
    locked = folder / "locked"
    locked.mkdir()
    (locked / "song.mp3").write_bytes(b"sound")
    locked.chmod(0)
    done = shell(str(folder), str(locked), str(locked / "song.mp3"), "missing.mp3", before=UNPRIVILEGED)
    locked.chmod(0o700)
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    assert done.stderr.splitlines() == [
        f"{locked}: reading it is not permitted",
        f"{locked}: reading it is not permitted",
        "1 other file skipped in folders: not audio or video by name",
        f"{locked / 'song.mp3'}: 'song.mp3' cannot be opened: reading it is not permitted.",
        "missing.mp3: 'missing.mp3' cannot be opened: there is no such file.",
    ]


@pytest.mark.parametrize(
    ("encoding", "options", "printed"),
    [
        ("utf-8:strict", [], ["Bj\ufffdrk.mp3", "naïve 日本.mp3"]),
        ("ascii:strict", [], ["na?ve ??.mp3"]),
        ("cp1252:strict", ["--json"], ["Bj\ufffdrk.mp3", "naïve 日本.mp3"]),  # always UTF-8, as the next one
        ("cp1252:strict", ["--csv"], ["Bj\ufffdrk.mp3", "naïve 日本.mp3"]),
    ],
)
def test_file_names_are_printed_whatever_the_encoding_of_the_terminal(tmp_path, example, encoding, options, printed):
    for name in (os.fsdecode(b"Bj\xf6rk.mp3"), "naïve 日本.mp3"):
        shutil.copy(example, tmp_path / name)
    done = shell(str(tmp_path), *options, env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, "")
    assert all(str(tmp_path / name) in done.stdout for name in printed)


@pytest.mark.parametrize(
    ("form", "number", "status"), [("--json", signal.SIGINT, 130), ("--csv", signal.SIGTERM, 143)], ids=["json", "csv"]
)
def test_a_stopped_run_leaves_complete_output_and_no_temporary_files(tmp_path, example, form, number, status):
    """It is stopped while it waits for a pipe, after its first song is classified."""
    pipe, temporary = tmp_path / "pipe.mp3", tmp_path / "temporary"
    os.mkfifo(pipe)
    temporary.mkdir()
    writer = os.open(pipe, os.O_RDWR)
    with started(str(example), str(pipe), form, env={"TMPDIR": str(temporary)}) as process:
        out = ""
        while ('"sections"' if form == "--json" else str(example)) not in out:
            out += process.stdout.readline()
        while not any(temporary.iterdir()):  # into which the pipe is copied
            time.sleep(0.05)
        time.sleep(0.5)
        for _ in range(2):  # as `timeout` does
            process.send_signal(number)
        out += process.stdout.read()
        assert process.stderr.read() == "Stopped.\n"
        assert process.wait() == status
    os.close(writer)
    rows = json.loads(out) if form == "--json" else list(csv.DictReader(io.StringIO(out)))
    assert [(row["file"], row["genre"]) for row in rows] == [(str(example), "Electronic")]
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_are_read_in_turn(tmp_path, example, monkeypatch, capsys):
    """Whoever writes them may open the second one long after the first."""
    monkeypatch.setattr(audio, "NO_WRITER_SECONDS", 0.2)
    pipes = [tmp_path / name for name in ("first", "second")]
    for pipe in pipes:
        os.mkfifo(pipe)

    def write():
        for pipe in pipes:
            with pipe.open("wb") as end:
                time.sleep(1)
                end.write(example.read_bytes())

    threading.Thread(target=write, daemon=True).start()
    assert main([*map(str, pipes), "--csv"]) == 0
    assert [row["file"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == [*map(str, pipes)]


def test_a_closed_pipe_ends_the_run_without_an_error_message(example):
    with started(str(example), "--csv") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_a_full_disk_is_reported(example):
    with Path("/dev/full").open("w") as full:
        done = shell(str(example), "--json", stdout=full)
    assert (done.returncode, done.stderr) == (2, "The output cannot be written: No space left on device.\n")


def test_a_cluster_without_dask_is_an_error_of_one_line(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "genre.inference.cluster", raising=False)
    monkeypatch.delattr(genre.inference, "cluster", raising=False)
    assert main([str(example), "--cluster", "local", "--out", str(tmp_path / "genres.jsonl")]) == 2
    assert capsys.readouterr().err.startswith("--cluster needs Dask: install requirements-cluster.txt, ")
    assert main([str(example)]) == 0


def test_a_scheduler_without_workers_is_an_error_of_one_line(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "TIMEOUT_SECONDS", 1)
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        assert main([str(example), "--cluster", empty.scheduler_address, "--out", str(tmp_path / "genres.jsonl")]) == 2
    assert f"The scheduler at {empty.scheduler_address} has no workers." in capsys.readouterr().err


def test_labels_and_pictures_are_written_for_every_song(folder, example, tmp_path, capsys):
    """Also for two songs of one name, one of them given twice; the broken file has none."""
    other = shutil.copy(example, folder / "song, with comma.mp3")
    out = tmp_path / "not yet" / "there"
    assert main([str(folder), str(other), "--json", "--labels", str(out), "--picture", str(out)]) == 1
    rows = [row for row in json.loads(capsys.readouterr().out) if "error" not in row]
    names = ["album - song, with comma.mp3", "music - song, with comma.mp3"]
    assert len(rows) == 3
    written = {path.name for path in out.iterdir()}
    assert written == {f"{name}{suffix}" for name in names for suffix in (".labels.txt", ".genre.png")}
    for path in out.glob("*.txt"):
        *_, last = path.read_text(encoding="utf-8").splitlines()
        assert last.split("\t")[1:] == [
            "15.000000",
            f"Window: Electronic {rows[0]['windows'][-1]['probabilities']['Electronic']:.0%}",
        ]
    for path in out.glob("*.png"):
        with Image.open(path) as image:
            assert image.size == (1200, 630)
    assert main([str(example), "--labels", str(out)]) == 0
    assert main([str(example), "--labels", str(out)]) == 0
    assert len(list(out.iterdir())) == 5  # a further run replaces its files


def test_it_runs_as_a_module_in_any_folder(example, tmp_path):
    done = shell(str(example), "missing.mp3", "--json", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1
    song, missing = json.loads(done.stdout)
    assert song["genre"] == "Electronic"
    assert missing == {"file": "missing.mp3", "error": "'missing.mp3' cannot be opened: there is no such file."}


def command(*arguments, before=(), env=None):
    """Arguments of `subprocess` for the command line, with `env` added to the environment."""
    return {"args": [*before, sys.executable, "-m", "genre", *arguments], "env": os.environ | (env or {})}


def shell(*arguments, before=(), env=None, **options):
    """Run the command line in a separate process to its end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8", "check": False}
    return subprocess.run(**{"cwd": ROOT} | command(*arguments, before=before, env=env) | pipes | options)


@contextmanager
def started(*arguments, env=None):
    """The command line, running in a separate process."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(**command(*arguments, env=env), cwd=ROOT, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_tilde_within_an_option_is_the_home_directory(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main([str(folder / "album"), "--labels=~/labels"]) == 0
    assert len(list((tmp_path / "home" / "labels").iterdir())) == 1 and not (tmp_path / "~").exists()


@pytest.mark.skipif(os.name == "nt", reason="the names of users are of Unix")
def test_the_home_directory_of_another_user_is_meant_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.path("~root/labels") == Path("~root/labels").expanduser()
    (tmp_path / "~root").mkdir()
    assert cli.path("~root/labels") == Path("~root/labels")
    assert cli.path("~no such user/labels") == Path("~no such user/labels")


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def test_a_row_is_written_completely_before_the_interrupt():
    written = []
    with Stop() as stop, pytest.raises(KeyboardInterrupt):
        for result in (1, 2, 3):
            with stop.held():
                if result == 2:
                    send()
                    send()  # as `timeout` does
                written.append(result)
    assert written == [1, 2]


def test_a_repeated_signal_interrupts_writing(monkeypatch):
    monkeypatch.setattr(cli, "REPEAT_SECONDS", 0)
    with Stop() as stop, pytest.raises(KeyboardInterrupt), stop.held():
        send()
        with pytest.raises(KeyboardInterrupt):
            send()


def test_a_result_of_a_decoder_that_swallowed_the_signal_is_discarded():
    with Stop() as stop:
        with suppress(KeyboardInterrupt):
            send()
        with pytest.raises(KeyboardInterrupt), stop.held():
            pytest.fail("a prediction for a partly decoded file was written")


def test_ignored_signals_remain_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            send(signal.SIGHUP)
        assert stop.received is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
