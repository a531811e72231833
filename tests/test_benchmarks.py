"""Benchmarks split the data as the training of the shipped checkpoint did."""

import shlex

from benchmarks.shipped_data import COUNTS_AS, HELD_OUT, HELD_OUT_OF_POPULAR, read_shipped_data
from genre.models.model import GenreModel
from tests.conftest import shared


def test_splits_are_those_of_the_command_in_the_card():
    words = shlex.split(GenreModel.from_pretrained().metrics["training"]["command"])
    at = words.index("--test-fraction") + 1
    fractions = [HELD_OUT.test if name != "popular" else HELD_OUT_OF_POPULAR.test for name in words[3:7]]
    assert [float(word) for word in words[at : at + 4]] == fractions
    assert float(words[words.index("--validation-fraction") + 1]) == HELD_OUT.validation
    assert dict([words[words.index("--counts-as") + 1].split("=")]) == COUNTS_AS


def test_known_clips_are_split_as_in_the_card():
    metrics = GenreModel.from_pretrained().metrics
    data = read_shipped_data([shared("fma_small"), shared("known")])
    for source, name in zip(data.sources, ("FMA-small", "known"), strict=True):
        assert len(source.of("test")) == metrics["training"]["sources"][name]["test"]
