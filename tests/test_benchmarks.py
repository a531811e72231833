"""Benchmarks split the data as the training of the shipped checkpoint did."""

import shlex

from benchmarks.shipped_data import COUNTS_AS, HELD_OUT, read_shipped_data
from genre.models.checkpoint import load_checkpoint
from tests.conftest import shared


def test_splits_are_those_of_the_command_in_the_card():
    words = shlex.split(load_checkpoint().metrics["training"]["command"])
    fractions = [float(words[words.index(f"--{split}-fraction") + 1]) for split in ("validation", "test")]
    assert [HELD_OUT.validation, HELD_OUT.test] == fractions
    assert dict([words[words.index("--counts-as") + 1].split("=")]) == COUNTS_AS


def test_known_clips_are_split_as_in_the_card():
    metrics = load_checkpoint().metrics
    data = read_shipped_data([shared("fma_small"), shared("known")])
    for source, name in zip(data.sources, ("FMA-small", "known"), strict=True):
        assert len(source.of("test")) == metrics["training"]["sources"][name]["test"]
