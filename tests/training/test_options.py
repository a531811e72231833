import re
from pathlib import Path

import pytest

from genre.models.model import DEFAULT
from train import parse_options


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Parses options in a folder with genre folders, "songs", and prepared arrays, "arrays"."""
    (tmp_path / "songs" / "Jazz").mkdir(parents=True)
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays" / "index.csv").touch()
    monkeypatch.chdir(tmp_path)

    def parse(line):
        monkeypatch.setattr("sys.argv", ["train.py", *line.split()])
        return parse_options()

    return parse


@pytest.mark.parametrize("options", ["", "--counts-as Jazz=Bebop", "--push user/repo --space user/page --dry-run"])
def test_genre_folders_are_learned_by_a_probe(parse, options):
    arguments = parse(f"--data songs --out mine {options}")
    assert (arguments.mode, arguments.start_from) == ("probe", DEFAULT)


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("--data songs --members dense", "train"),
        ("--data songs --weights file.pth --epochs 3", "train"),
        ("--data songs --from-scratch", "train"),
        ("--data songs --mode train --epochs 3", "train"),
        ("--data arrays --epochs 3 --seed 0", "train"),
        ("--data songs arrays", "train"),
        ("--data songs --from fma-small --augmented-copies 0", "fine-tune"),
        ("--data songs --mode fine-tune --epochs 3", "fine-tune"),
        ("--data songs --mode probe --from fma-small", "probe"),
        ("--data songs --mode detector --not-music noise", "detector"),
        ("--data songs --evaluate mine --test --predictions out", "evaluate"),
        ("--out mine --push user/repo --dry-run", "publish"),
    ],
)
def test_what_is_done_follows_from_the_start_that_is_named(parse, line, mode):
    assert parse(line).mode == mode


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
        ("--data songs --epochs 5", "--epochs has no use here, .* name what is trained: --from fma-small .* --members"),
        ("--data songs --resume", "--resume has no use here, where .* is learned by a linear probe"),
        ("--data songs --test-fraction 0.2", "--test-fraction has no use here"),
        ("--data songs --mode probe --seed 3", "--mode probe has no use for --seed"),
        ("--data songs arrays --mode probe", "--mode probe needs one folder"),
        ("--data songs --mode train --from mine", "--mode train has no use for --from"),
        ("--data songs --from mine --backbone resnet18", "--mode fine-tune has no use for --backbone"),
        ("--data songs --mode detector", "--mode detector needs --not-music"),
        ("--mode train", "--mode train needs --data"),
        ("--data arrays --mode evaluate", "--mode evaluate needs --evaluate"),
        ("--data arrays --weights file.pth --from-scratch", "two ways to begin"),
        ("--data arrays --predictions out", "--mode train has no use for --predictions"),
        ("--data arrays --dry-run", "without --push there is no use for --dry-run"),
        ("--data arrays --evaluate mine --from fma-small", "--mode evaluate has no use for --from"),
        ("--data arrays --evaluate mine --push user/repo", "--mode evaluate has no use for --push"),
        ("--push user/repo --epochs 3", "--mode publish has no use for --epochs"),
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
