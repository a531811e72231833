"""Speed and accuracy of training on a CUDA device, in bfloat16 and in float32.

    python -m benchmarks.gpu DATA [DATA ...] [--weights FILE] [--member NAME] [--epochs 6]

DATA are folders as for `train.py`. One member is trained twice from the same ImageNet weights and with the same seed.
Prints the windows that the training steps process in a second, the utilisation of the device as nvidia-smi samples it,
and loss and accuracy on validation.
"""

import argparse
import copy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from threading import Event, Thread

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from benchmarks.shipped_data import COUNTS_AS
from genre.data.prepare import Preparation, prepare
from genre.data.windows import Mixture
from genre.models.member import Member
from genre.training.loop import Start, Validation, ValidationFigures, start_member, train_stage
from genre.training.recipe import RECIPES, Stage

SAMPLE_SECONDS = 0.5


class TimedValidation(Validation):
    """Validation that adds up the seconds it takes."""

    seconds = 0.0

    def __call__(self, member: Member) -> ValidationFigures:
        started = time.perf_counter()
        figures = super().__call__(member)
        self.seconds += time.perf_counter() - started
        return figures


class Utilisation(Thread):
    """Samples of the device's utilisation in percent, between start() and stop()."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[int] = []
        self.stopped = Event()

    def run(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self.stopped.wait(SAMPLE_SECONDS):
            self.samples.append(
                int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0])
            )

    def stop(self) -> float:
        """The mean of the samples."""
        self.stopped.set()
        self.join()
        return mean(self.samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, help="ImageNet weights from a file instead of the Hub")
    parser.add_argument("--member", choices=list(RECIPES), default="smooth")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: there is no CUDA device.")
    recipe, stage = RECIPES[arguments.member], Stage(arguments.epochs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = prepare(Preparation(arguments.data, folder / "archives", [recipe.front_end], counts_as=COUNTS_AS))
        training = Mixture(data, recipe.front_end)
        start = start_member(recipe, arguments.member, training, data.genres, Start(weights=arguments.weights))
        windows = arguments.epochs * training.steps(recipe.batch_size, recipe.windows_per_track) * recipe.batch_size
        print(f"{torch.cuda.get_device_name()}, {arguments.member}, {windows} windows in {arguments.epochs} epochs")
        for precision in ("bf16", "no"):
            AcceleratorState._reset_state(reset_partial_state=True)
            accelerator = Accelerator(mixed_precision=precision)
            member, validation = copy.deepcopy(start), TimedValidation(data, recipe.front_end)
            utilisation = Utilisation()
            utilisation.start()
            started = time.perf_counter()
            train_stage(accelerator, member, training, validation, recipe, stage, folder / f"{precision}.pt")
            seconds = time.perf_counter() - started - validation.seconds
            figures = validation(member.to(accelerator.device))
            print(
                f"{precision.replace('no', 'fp32')}: {windows / seconds:,.0f} windows a second, utilisation "
                f"{utilisation.stop():.0f} %, validation {figures}"
            )


if __name__ == "__main__":
    main()
