"""How right new heads on the teacher's features are, to compare with the members that learned from it.

    python -m benchmarks.teacher WEIGHTS FOLDER [FOLDER ...] [--counts-as A=B ...] [--validation-fraction F ...]
                                 [--test-fraction F ...] [--archive DIR]

WEIGHTS is MusiCNN's file (`python -m genre.data.musicnn`); each FOLDER and the options are as for `train.py`, so that
splits are the same. Folders of prepared arrays take part in the splits and hold no audio to teach from. A multinomial
logistic regression on the 200 features and 50 tags of the windows of all training songs (`genre.training.probe`), every
genre with the same weight, is right for the printed part of the validation songs of each folder.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from genre.data.archive import teach_archive
from genre.data.dataset import Source
from genre.data.prepare import Preparation, is_prepared, prepare
from genre.data.sources import cut_songs, folder_songs
from genre.data.windows import MUSICNN_FILE, first_of_song, mean_by_song
from genre.training.calibrate import wilson_interval
from genre.training.probe import fit_head
from train import held_out, renaming


def taught(source: Source, split: str) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Outputs of the teacher (clips, windows, size), genres (clips,) and songs (clips,) of a split."""
    chosen = source.of(split)
    output = np.load(source.folder / MUSICNN_FILE, mmap_mode="r")[source.rows[chosen]].astype(np.float32)
    return torch.from_numpy(output), torch.from_numpy(source.labels[chosen]), source.songs_of(split)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--counts-as", type=renaming, nargs="+", default=[], metavar="A=B")
    parser.add_argument("--validation-fraction", type=float, nargs="+", default=[0.1], metavar="F")
    parser.add_argument("--test-fraction", type=float, nargs="+", default=[0.1], metavar="F")
    parser.add_argument("--archive", type=Path, default=Path("runs/archives"), metavar="DIR")
    arguments = parser.parse_args()
    data = prepare(
        Preparation(
            folders=arguments.folders,
            archives=arguments.archive,
            front_ends=["sparse"],
            counts_as=dict(arguments.counts_as),
            held_out=held_out(arguments.validation_fraction, arguments.test_fraction),
            teacher=arguments.weights,
        )
    )
    heard = [(s, f) for s, f in zip(data.sources, arguments.folders, strict=True) if not is_prepared(f)]
    for source, folder in heard:
        clips = cut_songs(folder_songs(folder), folder)
        teach_archive(clips, source.rows[source.of("validation")], arguments.weights, source.folder)
    parts = [taught(source, "training") for source, _ in heard]
    clips = [clip for output, _, _ in parts for clip in output]
    head = fit_head(clips, torch.cat([labels for _, labels, _ in parts]), len(data.genres))
    for source, _ in heard:
        output, labels, songs = taught(source, "validation")
        probabilities = mean_by_song(head(output.flatten(0, 1)).exp().unflatten(0, output.shape[:2]).mean(1), songs)
        right = int((probabilities.argmax(1) == labels[first_of_song(songs)]).sum())
        low, high = wilson_interval(right, len(probabilities))
        print(f"{source.name}: {right} of {len(probabilities)} songs, {low:.1%} to {high:.1%}")


if __name__ == "__main__":
    main()
