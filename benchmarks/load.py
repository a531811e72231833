"""Many visitors at once: `python -m benchmarks.load SONGS_FOLDER`

Each visitor sends a 30-second clip to `/classify`, waits for the verdict and sends the next one, until the time is up.
Every verdict is compared with the one that a single visitor got before. Then more come at the same moment than the
queue holds: some are told so, and the server goes on.
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

from benchmarks.app_start import App, running_app
from benchmarks.material import cut_clips

CLIPS = 8
SAMPLE_SECONDS = 0.25  # between two looks at the memory
CLOSE = 2e-3  # probabilities are the same up to this: sums in another order
CROWD = 3  # times the visitors, in the second part


@dataclass
class Tally:
    """What the visitors met; times in seconds."""

    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    different: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="folder of mp3s to cut the clips from")
    parser.add_argument("--visitors", type=int, default=50, help="at once (50)")
    parser.add_argument("--seconds", type=float, default=120, help="how long they keep coming (120)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_app() as app:
        clips = sorted(cut_clips(arguments.songs, Path(folder) / "clips", CLIPS).iterdir())
        expected = [ask(Client(app.address, verbose=False), clip) for clip in clips]
        idle = resident(app)
        with watched(app) as peak:
            tally = storm(app, clips, expected, arguments.visitors, arguments.seconds)
        report(tally, arguments, idle, max(peak))
        turned_away(app, clips[0], expected[0], CROWD * arguments.visitors)


def ask(client: Client, clip: Path) -> dict[str, float]:
    return client.predict(handle_file(str(clip)), api_name="/classify")["probabilities"]


def storm(app: App, clips: list[Path], expected: list[dict], visitors: int, seconds: float) -> Tally:
    """All visitors, each with a client and clips of its own, until the time is up."""
    tally, lock = Tally(), threading.Lock()
    clients = [Client(app.address, verbose=False) for _ in range(visitors)]
    end = time.monotonic() + seconds

    def visit(number: int) -> None:
        turn = number
        while time.monotonic() < end:
            clip, wanted = clips[turn % len(clips)], expected[turn % len(clips)]
            started = time.monotonic()
            try:
                answer = ask(clients[number], clip)
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
    return answer.keys() == wanted.keys() and all(abs(answer[genre] - p) <= CLOSE for genre, p in wanted.items())


def turned_away(app: App, clip: Path, wanted: dict, crowd: int) -> None:
    """A crowd that all asks at once, and one visitor afterwards."""
    clients = [Client(app.address, verbose=False) for _ in range(crowd)]

    def visit(client: Client) -> str | None:
        try:
            ask(client, clip)
        except (AppError, QueueError) as error:
            return str(error)

    with ThreadPoolExecutor(crowd) as pool:
        answers = list(pool.map(visit, clients))
    refusals = [answer for answer in answers if answer]
    print(f"\n{crowd} at once: {crowd - len(refusals)} verdicts, {len(refusals)} refusals {sorted(set(refusals))}")
    started = time.monotonic()
    right = same(ask(Client(app.address, verbose=False), clip), wanted)
    print(f"one visitor afterwards: {'the same' if right else 'ANOTHER'} verdict in {time.monotonic() - started:.2f} s")


def report(tally: Tally, arguments: argparse.Namespace, idle: float, peak: float) -> None:
    middle, slow = np.quantile(tally.latencies, [0.5, 0.95])
    print(f"| visitors at once | {arguments.visitors} |\n| --- | --- |")
    print(f"| verdicts in {arguments.seconds:.0f} s | {len(tally.latencies)} |")
    print(f"| a second | {len(tally.latencies) / arguments.seconds:.1f} |")
    print(f"| errors | {len(tally.errors)} {sorted(set(tally.errors)) or ''} |")
    print(f"| verdicts other than a single visitor's | {tally.different} |")
    print(f"| time to verdict, median and 95th percentile | {middle:.1f} s, {slow:.1f} s |")
    print(f"| memory of the server before and at most | {idle:.0f} MB, {peak:.0f} MB |")


def resident(app: App) -> float:
    """Memory of the server and of the processes it started, in MB."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:  # it has just ended
            continue
        if app.pid in (int(fields["Pid"]), int(fields["PPid"])):
            total += int(fields.get("VmRSS", "0 kB").split()[0])
    return total / 1000


class watched:
    """The server's memory while the block runs, a list that grows."""

    def __init__(self, app: App):
        self.app, self.seen, self.over = app, [resident(app)], threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self.over.wait(SAMPLE_SECONDS):
            self.seen.append(resident(self.app))

    def __enter__(self) -> list[float]:
        self.thread.start()
        return self.seen

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()


if __name__ == "__main__":
    main()
