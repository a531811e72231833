"""Decode mutants and count the outcomes; those that were neither decoded nor refused are printed and stored."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.run import run

MAX_SECONDS = 30 * 60  # as on the page


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="mutants (3000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one, to repeat a single one (0)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other mutants (0)")
    parser.add_argument("--keep", type=Path, help="a folder for the mutants that were neither decoded nor refused")
    arguments = parser.parse_args()
    began, results = time.monotonic(), []
    numbers = range(arguments.first, arguments.first + arguments.count)
    for result in run(arguments.seed, numbers, MAX_SECONDS):
        results.append(result)
        mutant = result.mutant
        if not result.fine:
            print(f"--seed {arguments.seed} --first {mutant.number} --count 1: {mutant.kind}, {mutant.name}")
            print(f"    {result.outcome} after {result.seconds:.1f} s: {result.detail}", flush=True)
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / mutant.name).write_bytes(mutant.data)
    _report(results, time.monotonic() - began)
    sys.exit(not all(result.fine for result in results))


def _report(results: list, seconds: float) -> None:
    print(f"\n{len(results)} mutants in {seconds:.0f} s; {sum(r.mutant.classify for r in results)} of them classified")
    print("outcomes:", dict(Counter(r.outcome for r in results).most_common()))
    for kind in dict.fromkeys(r.mutant.kind for r in results):
        of_kind = [r for r in results if r.mutant.kind == kind]
        counts = Counter(r.outcome for r in of_kind).most_common()
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts)
        slowest, largest = max(r.seconds for r in of_kind), max(r.peak for r in of_kind)
        print(f"    {kind:24} {outcomes}; slowest {slowest:.1f} s, most memory {largest:.0f} MB")
    sentences = Counter(r.detail for r in results if r.outcome == "refused")
    for sentence, count in sentences.most_common():
        print(f"    {count:5} {sentence}")
    hundred = min(100, len(results) - 1)
    print(f"memory after {hundred} mutants {results[hundred].memory:.0f} MB, at the end {results[-1].memory:.0f} MB")


if __name__ == "__main__":
    main()
