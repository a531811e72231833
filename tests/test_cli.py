import csv
import io
import json
import shutil
import subprocess
import sys

import pytest
from distributed import LocalCluster

import genre
from genre import cluster
from genre.__main__ import main
from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path, example):
    """A folder with a song in a sub-folder, a broken file and something else."""
    (tmp_path / "music" / "album").mkdir(parents=True)
    shutil.copy(example, tmp_path / "music" / "album" / "song, with comma.mp3")
    (tmp_path / "music" / "broken.mp3").write_text("no music")
    (tmp_path / "music" / "cover.jpg").write_bytes(b"picture")
    return tmp_path / "music"


def test_json_has_an_object_a_file_and_failures_among_them(folder, capsys):
    assert main([str(folder), "--json"]) == 1
    broken, song = sorted(json.loads(capsys.readouterr().out), key=lambda row: "error" not in row)
    assert broken["file"].endswith("broken.mp3")
    assert broken["error"] == "This is not an audio file that can be read, or it is damaged."
    assert set(song) >= {"file", "genre", "confidence", "probabilities", "windows"}
    assert [w["start"] for w in song["windows"]] == [0, 3, 6, 9, 12]


def test_csv_has_a_line_a_file(folder, capsys):
    assert main([str(folder), "--csv"]) == 1
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    song = rows[str(folder / "album" / "song, with comma.mp3")]
    assert float(song["confidence"]) == float(song[song["genre"]])
    assert rows[str(folder / "broken.mp3")]["error"]


def test_text_names_the_genre(example, capsys):
    assert main([str(example)]) == 0
    assert capsys.readouterr().out.startswith(f"{example}: Electronic ")


def test_an_unknown_checkpoint_is_one_line(example, capsys):
    assert main([str(example), "--checkpoint", "nowhere"]) == 2
    assert "There is no checkpoint 'nowhere'" in capsys.readouterr().err


def test_an_empty_folder_is_said(tmp_path, capsys):
    assert main([str(tmp_path)]) == 0
    assert "no audio files" in capsys.readouterr().err


def test_without_dask_a_cluster_is_one_line(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "genre.cluster", raising=False)
    monkeypatch.delattr(genre, "cluster", raising=False)
    assert main([str(example), "--cluster", "local", "--out", str(tmp_path / "genres.jsonl")]) == 2
    assert capsys.readouterr().err == "--cluster needs Dask: pip install -r requirements-cluster.txt\n"
    assert main([str(example)]) == 0


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:99999", "nonsense://here"])
def test_a_scheduler_that_does_not_answer_is_one_line(example, tmp_path, monkeypatch, capsys, address):
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 1)
    assert main([str(example), "--cluster", address, "--out", str(tmp_path / "genres.jsonl")]) == 2
    assert f"No Dask scheduler answers at '{address}'." in capsys.readouterr().err


def test_a_scheduler_without_workers_is_one_line(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 1)
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        assert main([str(example), "--cluster", empty.scheduler_address, "--out", str(tmp_path / "genres.jsonl")]) == 2
    assert f"The scheduler at {empty.scheduler_address} has no workers." in capsys.readouterr().err


def test_rows_that_cannot_be_written_are_one_line(example, tmp_path, capsys):
    assert main([str(example), "--cluster", "local", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path} cannot be written: Is a directory.\n"


@pytest.mark.parametrize("half", [["--cluster", "local"], ["--out", "genres.jsonl"]])
def test_a_cluster_and_its_file_go_together(example, half, capsys):
    with pytest.raises(SystemExit):
        main([str(example), *half])
    assert "--cluster and --out go together" in capsys.readouterr().err


def test_it_runs_as_a_module_anywhere(example, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "genre", str(example), "missing.mp3", "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    song, missing = json.loads(done.stdout)
    assert song["genre"] == "Electronic"
    assert missing == {"file": "missing.mp3", "error": "'missing.mp3' cannot be opened: there is no such file."}
