"""The data that checkpoints/fma-small was trained on, split as by the command in its card."""

from pathlib import Path

from genre.data.dataset import DataSet, read_data
from genre.data.splits import HeldOut
from genre.errors import DataError

HELD_OUT = HeldOut(validation=0.15, test=0.34)
COUNTS_AS = {"Classical": "Instrumental"}


def read_shipped_data(folders: list[Path], labels: list[str] | None = None) -> DataSet:
    """Read prepared arrays or archives. With all folders of the training, each artist is in the split of the training.

    Args:
        folders: see genre/data/dataset.py.
        labels: genres of a checkpoint that is evaluated on the data.

    Raises:
        DataError: the genres of the data are others than those.
    """
    data = read_data({folder.name: folder for folder in folders}, counts_as=COUNTS_AS, held_out=HELD_OUT)
    if labels is not None and data.genres != labels:
        raise DataError(f"The checkpoint classifies {', '.join(labels)}, the data has {', '.join(data.genres)}.")
    return data
