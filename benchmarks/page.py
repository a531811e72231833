"""The time that a visitor waits for predictions on the page.

    python -m benchmarks.page SONGS [--repeat 7]

Chromium uploads mp3 files that are cut out of the songs in SONGS. Prints the median time from the choice of the file,
which includes its upload, to the first prediction and to the one for the whole file.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from benchmarks.material import cut_file
from benchmarks.server import running_app
from tests.browser.conftest import FLAGS

UPLOAD = "#song input[type=file]"
PREDICTION = "document.querySelector('#prediction .coverage')"
LENGTHS = {"clip of 30 s": 30, "song of 4 minutes": 240}


def visit(page: Page, address: str, song: Path) -> tuple[float, float]:
    """Seconds to the first prediction and to the last one."""
    page.goto(address)
    page.wait_for_function("document.querySelector('#prediction .empty')")
    started = time.perf_counter()
    page.set_input_files(UPLOAD, song)
    page.wait_for_function(PREDICTION, polling=10)
    first = time.perf_counter() - started
    page.wait_for_function(f"{PREDICTION}?.innerText.endsWith('.')", polling=10)
    return first, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="a folder with mp3s anywhere in it")
    parser.add_argument("--repeat", type=int, default=7, help="visits of each median (7)")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as work, running_app() as app, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=chromium, args=FLAGS).new_page()
        print("| | first prediction | prediction for the whole file |\n| --- | --- | --- |")
        for title, seconds in LENGTHS.items():
            song = cut_file(arguments.songs, Path(work) / "song.mp3", seconds)
            waits = [visit(page, app.address, song) for _ in range(arguments.repeat + 1)][1:]  # the first one warms up
            first, last = (median(column) for column in zip(*waits, strict=True))
            print(f"| {title} | {first:.2f} s | {last:.2f} s |", flush=True)


if __name__ == "__main__":
    main()
