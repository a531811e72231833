"""`python -m genre FILE ...`: classify files and folders from the shell."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from genre import report
from genre.audio import SUFFIXES
from genre.classify import Classifier, Prediction, load
from genre.errors import AudioError, GenreError
from genre.memory import keep_memory


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m genre", description="Tell the genre of songs.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="audio or video files, or folders of them")
    parser.add_argument("--checkpoint", help="a name in checkpoints/, a folder, or hf-hub:user/repo@revision")
    parser.add_argument("--overlap", type=_overlap, default=0.0, help="part of a window shared with the next (0)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a list with an object a file, with every window")
    output.add_argument("--csv", action="store_true", help="print a line a file")
    output.add_argument("--out", type=Path, help="of --cluster: takes a line of JSON a file, and goes on there")
    parser.add_argument("--cluster", metavar="ADDRESS", help="classify on a Dask cluster; 'local' is all cores")
    arguments = parser.parse_args(argv)
    if (arguments.cluster is None) != (arguments.out is None):
        parser.error("--cluster and --out go together")
    try:
        if arguments.cluster:
            return _label(arguments)
        keep_memory()
        classifier = load(arguments.checkpoint)
    except GenreError as error:
        print(error, file=sys.stderr)
        return 2
    results = _classify_all(classifier, arguments.files, arguments.overlap)
    if arguments.json:
        failed = report.write_json(results, sys.stdout)
    elif arguments.csv:
        failed = report.write_csv(results, classifier.labels, sys.stdout)
    else:
        failed = _write_text(results)
    return 1 if failed else 0


def _overlap(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("must be at least 0 and below 1")
    return value


def _label(arguments: argparse.Namespace) -> int:
    """Classify on a cluster; returns the exit status."""
    try:
        from genre import cluster  # here, since it needs packages that nothing else does
    except ModuleNotFoundError:
        print("--cluster needs Dask: pip install -r requirements-cluster.txt", file=sys.stderr)
        return 2
    files = _expand(arguments.files)
    try:
        failed = cluster.label(files, arguments.out, arguments.cluster, arguments.checkpoint, arguments.overlap)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 1 if failed else 0


def _classify_all(
    classifier: Classifier, paths: list[Path], overlap: float
) -> Iterator[tuple[Path, Prediction | AudioError]]:
    for path in _expand(paths):
        try:
            yield path, classifier.classify(path, overlap=overlap)
        except AudioError as error:
            yield path, error


def _expand(paths: list[Path]) -> Iterator[Path]:
    """Files as they are, folders as the audio files anywhere in them."""
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not found:
                print(f"{path}: no audio files in this folder", file=sys.stderr)
            yield from found
        else:
            yield path


def _write_text(results: Iterator[tuple[Path, Prediction | AudioError]]) -> int:
    """A line a file; returns how many failed."""
    failed = 0
    for path, result in results:
        if isinstance(result, AudioError):
            failed += 1
            print(f"{path}: {result}", file=sys.stderr, flush=True)
            continue
        first, *others = list(result.probabilities.items())[:3]
        rest = ", ".join(f"{genre} {p:.0%}" for genre, p in others)
        doubt = "" if result.is_music else ", but does not sound like music"
        print(f"{path}: {first[0]} {first[1]:.0%} ({rest}){doubt}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
