"""Memory and answers of the server over many requests, one after the other.

    python -m benchmarks.soak [--requests 3000]

A few visitors send short clips to the page and to `/classify`, and at times a file that cannot be decoded or half an
upload. Prints the memory of the server after each quarter of the requests, the number of answers of each kind, and how
many uploads are left at the end and after the time in which all should be deleted. Uploads are deleted after a minute
here, and after about an hour on the page.
"""

import argparse
import socket
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.server import ROOT, App, running_app
from genre.web import texts
from tests.conftest import music, write_audio
from tests.visitor import Visitor

PROGRAM = ROOT / "tests" / "short_lived" / "app.py"
TTL_SECONDS = 60  # until an upload is deleted
VISITORS = 3
WARM_UP = 20  # requests until workers run and caches are filled
STEPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000, help="in all (3000)")
    total = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder, running_app({"LIFE": str(TTL_SECONDS)}, PROGRAM) as app:
        before = count_files(app)
        soak = Soak(app, Path(folder))
        soak.run(range(WARM_UP))
        print(f"| requests | memory of the server |\n| --- | --- |\n| {WARM_UP} | {app.memory_mb():.0f} MB |")
        for step in range(STEPS):
            soak.run(range(WARM_UP + total * step // STEPS, WARM_UP + total * (step + 1) // STEPS))
            print(f"| {WARM_UP + total * (step + 1) // STEPS} | {app.memory_mb():.0f} MB |", flush=True)
        print(f"\nanswers: {dict(soak.answers.most_common())}")
        print(f"files of visitors: {count_files(app) - before} at the end,", end=" ", flush=True)
        time.sleep(2 * TTL_SECONDS)
        print(f"{count_files(app) - before} after {2 * TTL_SECONDS} s")


class Soak:
    """Visitors and their requests; `answers` counts the outcomes by kind of request."""

    def __init__(self, app: App, folder: Path):
        self.visitors = [Visitor(app.address) for _ in range(VISITORS)]
        self.address = urlsplit(app.address)
        self.answers, self._lock = Counter(), threading.Lock()
        self.clip = write_audio(folder / "clip.mp3", [music(8)], "mp3").read_bytes()

    def run(self, numbers: range) -> None:
        """Send these requests; each visitor takes the next one when its last one is answered."""
        with ThreadPoolExecutor(VISITORS) as pool:
            list(pool.map(self._request, numbers))

    def _request(self, number: int) -> None:
        with self._lock:
            visitor = self.visitors.pop()
        kind = KINDS[number % len(KINDS)]
        try:
            answer = kind(self, visitor, number)
        finally:
            with self._lock:
                self.visitors.append(visitor)
        with self._lock:
            self.answers[f"{kind.__name__}: {answer}"] += 1

    def call(self, visitor: Visitor, number: int) -> str:
        return _classified(visitor.classify(self._sent(visitor, self.clip, number)))

    def page(self, visitor: Visitor, number: int) -> str:
        return _shown(visitor.ask("show", self._sent(visitor, self.clip, number), None, 0))

    def not_audio(self, visitor: Visitor, number: int) -> str:
        return _shown(visitor.ask("show", self._sent(visitor, b"a shopping list", number), None, 0))

    def damaged(self, visitor: Visitor, number: int) -> str:
        content = self.clip[: len(self.clip) // 2] + bytes(5000)
        return _classified(visitor.classify(self._sent(visitor, content, number)))

    def half(self, visitor: Visitor, number: int) -> str:
        """An upload that breaks off."""
        with socket.create_connection((self.address.hostname, self.address.port)) as connection:
            connection.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
                b"Content-Type: multipart/form-data; boundary=cut\r\n\r\n"
                b'--cut\r\nContent-Disposition: form-data; name="files"; filename="half.mp3"\r\n\r\n' + self.clip
            )
        return "left"

    def _sent(self, visitor: Visitor, content: bytes, number: int) -> dict:
        """Upload a file; the number at its end makes it another one than before without changing the audio."""
        (path,) = visitor.send("clip.mp3", content + str(number).encode()).raise_for_status().json()
        return {"path": path, "meta": {"_type": "gradio.FileData"}}


KINDS = (
    Soak.call,
    Soak.page,
    Soak.call,
    Soak.page,
    Soak.not_audio,
    Soak.call,
    Soak.page,
    Soak.damaged,
    Soak.page,
    Soak.half,
)


def _classified(answer: dict | str | None) -> str:
    """Outcome of a call of `/classify`: a prediction or the error's message."""
    return "a prediction" if isinstance(answer, dict) else str(answer)


def _shown(answer: str) -> str:
    """Outcome of a visit to the page, by its answer in JSON lines."""
    if '"success":true' not in answer:
        return answer[-200:]
    return "no prediction" if texts.NO_RESULT in answer else "a prediction"


def count_files(app: App) -> int:
    return sum(path.is_file() for path in app.uploads.rglob("*"))


if __name__ == "__main__":
    main()
