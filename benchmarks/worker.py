"""Measurements inside a separate process, which benchmarks/speed.py starts.

    python -m benchmarks.worker SYSTEM ACTION [ARGUMENT ...]

SYSTEM is the name of a system in benchmarks/peers.py. The result is the last line that is printed, as JSON. Actions:

    first FILE              loads the model and classifies once; the caller times the whole process
    time FILE REPEAT        seconds to classify the file, REPEAT times, after a first time that is not counted
    decode FILE REPEAT      the same for decoding alone
    long FILE CLIP          seconds to classify the file, and bytes of memory before it (after one clip) and at the peak
    folder FOLDER SECONDS   number of files of the folder that are classified in so many seconds
    size                    bytes of the installed packages, of the CUDA libraries among them, and of the weights
    stages FILE REPEAT      for this project only: seconds of the stages of each prediction; those of front ends and
                            networks are added up over threads that run side by side
"""

import json
import re
import sys
import time
from collections.abc import Callable
from importlib import metadata
from itertools import pairwise
from pathlib import Path

from benchmarks.peers import SYSTEMS, Ours

CUDA = ("nvidia-", "cuda-", "triton")


def main() -> None:
    system, action, *arguments = sys.argv[1:]
    print(f"\n{json.dumps(ACTIONS[action](SYSTEMS[system], *arguments))}")


def first(system: type, file: str) -> dict[str, float]:
    return system().classify(file)


def seconds_to_classify(system: type, file: str, repeat: str) -> list[float]:
    return _seconds(system().classify, file, int(repeat))


def seconds_to_decode(system: type, file: str, repeat: str) -> list[float]:
    return _seconds(system().decode, file, int(repeat))


def long_file(system: type, file: str, clip: str) -> dict[str, float]:
    classify = system().classify
    classify(clip)
    idle, started = _memory("VmRSS"), time.perf_counter()
    classify(file)
    return {"seconds": time.perf_counter() - started, "idle": idle, "peak": _memory("VmHWM")}


def folder_of_files(system: type, folder: str, seconds: str) -> int:
    started, done = time.perf_counter(), 0
    classify = system().classify
    for path in sorted(Path(folder).iterdir()):
        classify(str(path))
        done += 1
        if time.perf_counter() - started > float(seconds):
            break
    return done


def size(system: type) -> dict[str, int]:
    sizes = {name: _installed_bytes(name) for name in _closure([*system.NEEDS, "gradio"])}
    cuda = sum(bytes_ for name, bytes_ in sizes.items() if name.startswith(CUDA))
    return {"installed": sum(sizes.values()), "cuda": cuda, "weights": system().weight_bytes()}


def stages(system: type, file: str, repeat: str) -> dict[str, list[float]]:
    """Decoding and the spectrogram image on their own, front ends and networks as they run within a prediction."""
    from genre.features.image import Spectrogram, data_uri

    ours: Ours = system()
    classifier = ours.classifier
    window_seconds = classifier.window_seconds
    clips = list(ours.audio(file).clips(classifier.sample_rate, window_seconds, window_seconds))

    def image(clips: list) -> None:
        spectrogram = Spectrogram(classifier.sample_rate)
        for clip in clips:
            spectrogram.add(clip)
        data_uri(spectrogram.image())

    results = {"decode": _seconds(ours.decode, file, int(repeat)), "image": _seconds(image, clips, int(repeat))}
    front_ends, networks = _Stopwatch(), _Stopwatch()
    for member in classifier.model.members.values():
        front_ends.watch(member.log_mel, "spectrum", "windows")
        networks.watch(member, "embed", "head")
    results |= {"front ends": [], "networks": [], "whole prediction": []}
    for _ in range(int(repeat)):
        started = time.perf_counter()
        ours.classify(file)
        results["whole prediction"].append(time.perf_counter() - started)
        results["front ends"].append(front_ends.read())
        results["networks"].append(networks.read())
    return results


class _Stopwatch:
    """Adds up the time that some methods take in all threads, in seconds."""

    def __init__(self):
        self.calls: list[float] = []

    def watch(self, owner: object, *methods: str) -> None:
        for name in methods:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def read(self) -> float:
        """The seconds since the last read."""
        calls, self.calls = self.calls, []
        if not calls:
            raise RuntimeError("a prediction no longer calls the methods that are timed")
        return sum(calls)

    def _timed(self, method: Callable) -> Callable:
        def timed(*arguments):
            started = time.perf_counter()
            result = method(*arguments)
            self.calls.append(time.perf_counter() - started)
            return result

        return timed


def _seconds(call: Callable, argument: object, repeat: int) -> list[float]:
    """Of each of `repeat` calls, after a first one that is not counted."""
    call(argument)
    moments = [time.perf_counter()]
    for _ in range(repeat):
        call(argument)
        moments.append(time.perf_counter())
    return [after - before for before, after in pairwise(moments)]


def _memory(field: str) -> int:
    """Bytes by /proc: the peak of getrusage starts from that of the parent process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def _closure(names: list[str]) -> set[str]:
    """Normalised names of these distributions and of all that they need, as installed."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found, waiting = set(), [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in found:
            continue
        found.add(key)
        extras = ("", *requirement.extras)
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return {name for name, _ in found}


def _installed_bytes(name: str) -> int:
    paths = (file.locate() for file in metadata.files(name) or [])
    return sum(Path(path).stat().st_size for path in paths if Path(path).is_file())


ACTIONS = {
    "first": first,
    "time": seconds_to_classify,
    "decode": seconds_to_decode,
    "long": long_file,
    "folder": folder_of_files,
    "size": size,
    "stages": stages,
}

if __name__ == "__main__":
    main()
