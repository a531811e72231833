"""The process that decodes mutants: reads tasks and writes outcomes as JSON lines."""

import json
import os
import re
import resource
import sys
import traceback
from pathlib import Path

import numpy as np

import genre
from genre.audio import decode, mixdown

RATE = 44100
MAX_CLASSIFIED_SECONDS = 120  # classifying 30 minutes would take too long
SENTENCE = re.compile(r"[^/\n]{10,160}\.")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be read as an outcome
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    classifier = genre.load()
    print(json.dumps(_state()), file=answers, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak of memory
        print(json.dumps(_outcome(classifier, **task) | _state()), file=answers, flush=True)


def _outcome(classifier: genre.Classifier, path: str, start: float, seconds: float, classify: bool) -> dict:
    try:
        if classify:
            prediction = classifier.classify(path, start=start, seconds=min(seconds, MAX_CLASSIFIED_SECONDS))
            assert sum(prediction.probabilities.values()) > 0.999, "probabilities do not sum to one"
            return {"outcome": "decoded", "detail": f"{prediction.seconds:.3f} s"}
        return {"outcome": "decoded", "detail": f"{_decode(path, start, seconds):.3f} s"}
    except genre.AudioError as error:
        sentence = str(error)
        fit = SENTENCE.fullmatch(sentence) and str(Path(path).parent) not in sentence
        return {"outcome": "refused" if fit else "bad message", "detail": sentence}
    except Exception:
        return {"outcome": "escaped", "detail": traceback.format_exc()}


def _decode(path: str, start: float, seconds: float) -> float:
    """Number of decoded seconds."""
    samples = 0
    for piece in decode.stream(path, RATE, start=start, seconds=seconds):
        assert piece.dtype == np.float32 and piece.ndim == 1 and len(piece), "not a mono piece"
        assert np.abs(piece).max() <= mixdown.FULL_SCALE_LIMIT, "not finite, or beyond the limit"
        samples += len(piece)
    assert 0 < samples <= seconds * RATE, "more than the requested seconds"
    return samples / RATE


def _state() -> dict:
    """Memory in MB, now and at its peak, and number of open files."""
    status = Path("/proc/self/status").read_text()
    now, peak = (int(re.search(rf"{key}:\s+(\d+)", status)[1]) / 1024 for key in ("VmRSS", "VmHWM"))
    return {"memory": now, "peak": peak, "files": len(list(Path("/proc/self/fd").iterdir()))}


if __name__ == "__main__":
    main()
