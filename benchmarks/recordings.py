"""Does a checkpoint withstand what phones and other masters do to a song? On validation, where that may be chosen by:

    python -m benchmarks.recordings DATA [--checkpoint NAME]

DATA holds prepared arrays with the checkpoint's genres, see genre/data/dataset.py; `genre.features.augment` changes
the windows as it does while training, stronger and all of them. Prints top-1 and negative log-likelihood of every
member over a track, and of all of them together for a window and a track.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from torch.nn.functional import nll_loss

from genre.data.dataset import read_data
from genre.features.augment import NO_CHANGE
from genre.models.checkpoint import DEFAULT, average_windows, load_checkpoint
from genre.training.calibrate import BY_PHONE, member_log_probabilities

CHANGES = {
    "as they are": None,
    "equalised by 6 dB": replace(NO_CHANGE, equaliser=6.0),
    "another dynamic range, tilt and level": replace(NO_CHANGE, dynamic_range=0.3, tilt=15.0, gain=10.0),
    "nothing above a band": replace(NO_CHANGE, low_pass=1.0),
    "by a phone": BY_PHONE,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--checkpoint", default=DEFAULT)
    arguments = parser.parse_args()
    checkpoint = load_checkpoint(arguments.checkpoint)
    (source,) = read_data({arguments.data.name: arguments.data}).sources
    print(f"| recordings | {' | '.join(checkpoint.members)} | first window | track |")
    print("| --- |" + " --- |" * (len(checkpoint.members) + 2))
    for title, change in CHANGES.items():
        log_probabilities, labels = member_log_probabilities(checkpoint.members, source, "validation", change)
        results = [average_windows(one) for one in log_probabilities.values()]
        first_windows = {name: one[:, 0] for name, one in log_probabilities.items()}
        results += [checkpoint.window_probabilities(first_windows).log()]
        results += [checkpoint.track_probabilities(log_probabilities).log()]
        cells = [f"{(one.argmax(-1) == labels).float().mean():.1%}, {nll_loss(one, labels):.3f}" for one in results]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
