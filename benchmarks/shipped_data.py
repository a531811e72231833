"""Reads the data that checkpoints/fma-small was trained on, split as by the command in its model card."""

from pathlib import Path

from genre.data.dataset import DataSet, HeldOut, read_data

HELD_OUT = HeldOut(validation=0.15, test=0.34)
HELD_OUT_OF_POPULAR = HeldOut(validation=0.15, test=0.18)
COUNTS_AS = {"Classical": "Instrumental"}


def read_shipped_data(folders: list[Path]) -> DataSet:
    """Read folders of prepared arrays or archives, see `read_data`.

    With all of those that the training had, in its order, every artist is in the same split as there.
    """
    held_out = [HELD_OUT_OF_POPULAR if folder.name.startswith("popular") else HELD_OUT for folder in folders]
    return read_data({folder.name: folder for folder in folders}, counts_as=COUNTS_AS, held_out=held_out)
