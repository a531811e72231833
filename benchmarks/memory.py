"""Peak memory and time of classifying a long file: python -m benchmarks.memory"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import av
import numpy as np

import genre

RATE = 44100


def write_long_mp3(path: Path, hours: float) -> None:
    """Noise in pulses, a minute at a time."""
    random = np.random.default_rng(0)
    minute = random.normal(scale=0.1, size=60 * RATE) * np.tile(np.linspace(1, 0.05, RATE // 2), 120)
    with av.open(str(path), "w") as container:
        track = container.add_stream("mp3", rate=RATE, layout="mono")
        for _ in range(round(hours * 60)):
            frame = av.AudioFrame.from_ndarray(minute[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate = RATE
            container.mux(track.encode(frame))
        container.mux(track.encode(None))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2)
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp3"
        write_long_mp3(path, hours)
        classifier = genre.load()
        classifier.classify(path, seconds=30)
        idle, started = peak_mb(), time.perf_counter()
        prediction = classifier.classify(path)
        seconds = time.perf_counter() - started
    print(
        f"{hours:g} h in {len(prediction.windows)} windows: {seconds:.0f} s ({prediction.seconds / seconds:.0f} times "
        f"real time), peak {peak_mb():.0f} MB, {peak_mb() - idle:.0f} MB above one 30 s clip ({idle:.0f} MB)"
    )


if __name__ == "__main__":
    main()
