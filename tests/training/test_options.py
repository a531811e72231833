import re
from pathlib import Path

import pytest

from genre.models.locations import DEFAULT
from genre.training.options import parse_arguments


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Parses options in a folder with genre folders, "songs", and prepared arrays, "arrays"."""
    (tmp_path / "songs" / "Jazz").mkdir(parents=True)
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays" / "index.csv").touch()
    monkeypatch.chdir(tmp_path)

    def parse(line):
        monkeypatch.setattr("sys.argv", ["train.py", *line.split()])
        return parse_arguments("")

    return parse


@pytest.mark.parametrize("options", ["", "--counts-as Jazz=Bebop", "--push user/repo --space user/page --dry-run"])
def test_genre_folders_are_learned_by_a_probe(parse, options):
    arguments = parse(f"--data songs --out mine {options}")
    assert arguments.probe and arguments.start_from == DEFAULT


@pytest.mark.parametrize(
    "options", ["--members dense", "--from fma-small", "--epochs 3", "--test-fraction 0.1", "--augmented-copies 0"]
)
def test_an_option_on_how_to_train_trains_a_network(parse, options):
    assert not parse(f"--data songs {options}").probe


def test_arrays_and_multiple_folders_are_not_learned_by_a_probe(parse):
    assert not parse("--data arrays").probe
    assert not parse("--data songs arrays").probe


def test_options_that_are_given_twice_add_up(parse):
    arguments = parse("--data songs --data arrays --counts-as A=B --counts-as C=D a=b=D --shares 1 --shares 2")
    assert [folder.name for folder in arguments.data] == ["songs", "arrays"] and arguments.shares == [1, 2]
    assert arguments.counts_as == [("A", "B"), ("C", "D"), ("a=b", "D")]
    assert parse("--data arrays").counts_as == [] and parse("--data arrays").validation_fraction == [0.1]


def test_a_tilde_within_an_option_is_the_home_directory(parse, monkeypatch, tmp_path):
    """Shells replace it at the start of a word alone."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    arguments = parse("--data=~/songs --data arrays --out=~/models/jazz --archive=~/logs --from=~/models/pop")
    assert arguments.data == [tmp_path / "home" / "songs", Path("arrays")]
    assert arguments.out == tmp_path / "home" / "models" / "jazz" and arguments.archive == tmp_path / "home" / "logs"
    assert arguments.start_from == str(tmp_path / "home" / "models" / "pop")
    assert parse("--data arrays --out ~backup~").out == Path("~backup~")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "give --data to train or to evaluate, or --push to publish"),
        ("--data songs --resume", "a linear probe, .* has no use for --resume"),
        ("--data songs --test", "a linear probe, .* has no use for --test"),
        ("--data songs --probe --seed 3", "--probe has no use for --seed"),
        ("--data songs arrays --probe", "--probe needs one folder"),
        ("--data arrays --predictions out", "without --evaluate, train.py has no use for --predictions"),
        ("--data arrays --split test", "without --evaluate, train.py has no use for --split"),
        ("--data arrays --dry-run", "without --push, train.py has no use for --dry-run"),
        ("--data arrays --space user/page", "without --push, train.py has no use for --space"),
        ("--data arrays --evaluate mine --test", "it has no use for --test"),
        ("--data arrays --evaluate mine --from fma-small", "it has no use for --from"),
        ("--data arrays --evaluate mine --push user/repo", "it has no use for --push"),
        ("--push user/repo --epochs 3", "without --data, train.py has no use for --epochs"),
        ("--data arrays songs --shares 1", "give as many --shares as folders"),
        ("--data arrays --shares 0", "'0' is not a number above 0"),
        ("--data arrays --runs 0", "'0' is not a whole number from 1"),
        ("--data arrays --epochs 0", "'0' is not a whole number from 1"),
        ("--data arrays --seed=-1", "'-1' is not a whole number from 0"),
        ("--data arrays --learning-rate nan", "'nan' is not a number above 0"),
        ("--data arrays --test-fraction abc", "'abc' is not a number above 0 and below 0.5"),
        ("--data arrays --counts-as Jazz", "give it as GENRE=OTHER"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(parse, capsys, line, message):
    with pytest.raises(SystemExit) as end:
        parse(line)
    assert end.value.code == 2
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))
