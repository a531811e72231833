"""How long a verdict takes from the shell, and where the time of an import goes: python -m benchmarks.start_up [MODULE]

Prints the time from the start of `python -m genre` to its end on an example. Then a tree of who makes whom wait: the
project's own modules and every step from one package into another, without the standard library, with the milliseconds
of all that is imported below. What two need is charged to the first one.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "arpeggio.mp3"
RUNS = 3  # of which the quickest counts: the first one reads from the disk
LEAST_MS = 20
LINE = re.compile(r"import time:\s*\d+ \|\s*(\d+) \| ( *)(\S+)")


def seconds_to_verdict() -> tuple[float, float]:
    """By the clock and of processors."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "genre", str(EXAMPLE)], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    processors = after.children_user - before.children_user + after.children_system - before.children_system
    return after.elapsed - before.elapsed, processors


def import_tree(report: str) -> list[tuple[int, str, float]]:
    """Depth, name and milliseconds of what is worth showing, importers before what they import."""
    tree, above = [], []  # above: depth in the report, package and depth in the tree of each importer of this module
    for microseconds, indent, name in reversed(LINE.findall(report)):
        package, depth = name.partition(".")[0], len(indent)
        while above and above[-1][0] >= depth:
            above.pop()
        _, importer, level = above[-1] if above else (0, "", 0)
        shown = (package != importer or package == "genre") and package not in sys.stdlib_module_names
        if shown and int(microseconds) >= 1000 * LEAST_MS:
            tree.append((level, name, int(microseconds) / 1000))
        above.append((depth, package, level + shown))
    return tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", nargs="?", default="genre.__main__")
    module = parser.parse_args().module
    clock, processors = min(seconds_to_verdict() for _ in range(RUNS))
    print(f"{clock:.1f} s to a verdict, {processors:.1f} s of them of processors\n")
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    for level, name, milliseconds in import_tree(report):
        print(f"{milliseconds:7.0f} ms  {'  ' * level}{name}")


if __name__ == "__main__":
    main()
