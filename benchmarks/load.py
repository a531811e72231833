"""Many visitors of the page at once.

    python -m benchmarks.load SONGS [--visitors 50] [--seconds 120]

Each visitor sends a clip of 30 s to `/classify`, waits for the prediction and sends the next clip, until the time is
up. Every prediction is compared with the one that a single visitor got before. Then more visitors than the queue holds
send a clip at the same moment: some of them are refused, and the server has to go on. Clips are cut out of the mp3
files in SONGS.
"""

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError

from benchmarks.material import cut_clips
from benchmarks.server import App, running_app

CLIPS = 8
TOLERANCE = 2e-3  # of probabilities, which are summed in another order
CROWD = 3  # times the visitors, in the second half


@dataclass
class Tally:
    """Outcomes of all visits.

    Attributes:
        latencies: from sending a clip to its prediction, in seconds.
        errors: messages of the visits that failed.
        different: number of predictions that differ from the expected one.
    """

    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    different: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="a folder with mp3s anywhere in it, to cut the clips from")
    parser.add_argument("--visitors", type=int, default=50, help="at once (50)")
    parser.add_argument("--seconds", type=float, default=120, help="how long they keep sending (120)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_app() as app:
        clips = sorted(cut_clips(arguments.songs, Path(folder) / "clips", CLIPS).iterdir())
        expected = [probabilities_of(Client(app.address, verbose=False), clip) for clip in clips]
        idle = app.memory_mb()
        with app.sampled_memory() as samples:
            tally = send_clips(app, clips, expected, arguments.visitors, arguments.seconds)
        report(tally, arguments, idle, max(samples))
        exceed_queue(app, clips[0], expected[0], CROWD * arguments.visitors)


def probabilities_of(client: Client, clip: Path) -> dict[str, float]:
    """Of every genre, by `/classify`."""
    return client.predict(handle_file(str(clip)), api_name="/classify")["probabilities"]


def send_clips(app: App, clips: list[Path], expected: list[dict], visitors: int, seconds: float) -> Tally:
    """Clips by all visitors at once until the time is up, each visitor with a client of its own."""
    tally, lock = Tally(), threading.Lock()
    clients = [Client(app.address, verbose=False) for _ in range(visitors)]
    end = time.monotonic() + seconds

    def visit(number: int) -> None:
        turn = number
        while time.monotonic() < end:
            clip, wanted = clips[turn % len(clips)], expected[turn % len(clips)]
            started = time.monotonic()
            try:
                answer = probabilities_of(clients[number], clip)
            except (AppError, QueueError) as error:
                with lock:
                    tally.errors.append(str(error))
            else:
                with lock:
                    tally.latencies.append(time.monotonic() - started)
                    tally.different += not same(answer, wanted)
            turn += 1

    with ThreadPoolExecutor(visitors) as pool:
        list(pool.map(visit, range(visitors)))
    return tally


def same(answer: dict[str, float], wanted: dict[str, float]) -> bool:
    return answer.keys() == wanted.keys() and all(abs(answer[genre] - p) <= TOLERANCE for genre, p in wanted.items())


def exceed_queue(app: App, clip: Path, wanted: dict, crowd: int) -> None:
    """A crowd of visitors at the same moment, and one visitor afterwards."""
    clients = [Client(app.address, verbose=False) for _ in range(crowd)]

    def visit(client: Client) -> str | None:
        try:
            probabilities_of(client, clip)
        except (AppError, QueueError) as error:
            return str(error)

    with ThreadPoolExecutor(crowd) as pool:
        answers = list(pool.map(visit, clients))
    refusals = [answer for answer in answers if answer]
    print(f"\n{crowd} at once: {crowd - len(refusals)} predictions, {len(refusals)} refusals {sorted(set(refusals))}")
    started = time.monotonic()
    right = same(probabilities_of(Client(app.address, verbose=False), clip), wanted)
    seconds = time.monotonic() - started
    print(f"one visitor afterwards: {'the same' if right else 'ANOTHER'} prediction in {seconds:.2f} s")


def report(tally: Tally, arguments: argparse.Namespace, idle: float, peak: float) -> None:
    middle, slow = np.quantile(tally.latencies, [0.5, 0.95])
    print(f"| visitors at once | {arguments.visitors} |\n| --- | --- |")
    print(f"| predictions in {arguments.seconds:.0f} s | {len(tally.latencies)} |")
    print(f"| a second | {len(tally.latencies) / arguments.seconds:.1f} |")
    print(f"| errors | {len(tally.errors)} {sorted(set(tally.errors)) or ''} |")
    print(f"| predictions other than a single visitor's | {tally.different} |")
    print(f"| time to a prediction, median and 95th percentile | {middle:.1f} s, {slow:.1f} s |")
    print(f"| memory of the server before and at most | {idle:.0f} MB, {peak:.0f} MB |")


if __name__ == "__main__":
    main()
