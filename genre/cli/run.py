"""What `python -m genre` does: files and folders to rows of text, CSV or JSON, each written as soon as it is there."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from genre.audio.folders import find_audio
from genre.audio.pipes import as_file
from genre.cli.stop import Stop
from genre.errors import AudioError, GenreError
from genre.inference import report
from genre.inference.classify import Classifier, Prediction, load
from genre.malloc import keep_freed_memory

Result = tuple[Path, Prediction | AudioError]


def run(arguments: Namespace, stop: Stop, append: Callable[[dict], None] | None) -> int:
    """Classify what the command line names; returns how many files and folders failed.

    Args:
        append: where rows go with `--json`.

    Raises:
        GenreError: nothing can be classified: there is no such checkpoint or cluster, or `--out` cannot be written.
    """
    if arguments.cluster:
        return _label(arguments)
    keep_freed_memory()
    classifier = load(arguments.checkpoint)
    files, failed = _expand(arguments.files)
    results = stop.between(_classify_all(classifier, files, arguments.overlap))
    if append:
        return failed + report.append_rows(results, append)
    if arguments.csv:
        return failed + report.write_csv(results, classifier.labels, sys.stdout)
    return failed + _write_text(results)


def _label(arguments: Namespace) -> int:
    """Classify on a cluster; returns how many failed."""
    try:
        from genre import cluster  # here, since it needs packages that nothing else does
    except ModuleNotFoundError as error:
        raise GenreError("--cluster needs Dask: pip install -r requirements-cluster.txt") from error
    files, failed = _expand(arguments.files)
    return failed + cluster.label(files, arguments.out, arguments.cluster, arguments.checkpoint, arguments.overlap)


def _expand(paths: list[Path]) -> tuple[list[Path], int]:
    """Files as they are, folders as the audio files in them; and how many folders failed, which is said."""
    files, failed, others = [], 0, 0
    for path in paths:
        if not _is_folder(path):
            files.append(path)
            continue
        found = find_audio(path)
        problems = found.unreadable
        if not problems and not found.files:
            problems = {path: "no audio files in this folder"}
        for place, problem in problems.items():
            print(f"{report.printable(place)}: {problem}", file=sys.stderr)
        files += found.files
        failed += len(problems)
        others += found.others
    if others:
        which = "1 other file is" if others == 1 else f"{others:,} other files are"
        print(f"{which} left out of the folders, being no audio or video by name", file=sys.stderr)
    return files, failed


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # it lies in a folder that may not be read; reading it says so
        return False


def _classify_all(classifier: Classifier, files: Iterable[Path], overlap: float) -> Iterator[Result]:
    for path in files:
        try:
            with as_file(path) as file:
                result = classifier.classify(file, overlap=overlap)
        except AudioError as error:
            result = error
        yield path, result


def _write_text(results: Iterable[Result]) -> int:
    """A line a file; returns how many failed."""
    failed = 0
    for path, result in results:
        if isinstance(result, AudioError):
            failed += 1
            print(f"{report.printable(path)}: {result}", file=sys.stderr, flush=True)
            continue
        first, *others = list(result.probabilities.items())[:3]
        rest = ", ".join(f"{genre} {p:.0%}" for genre, p in others)
        doubt = "" if result.is_music else ", but does not sound like music"
        notes = "".join(f". {note.removesuffix('.')}" for note in result.notes)
        print(f"{report.printable(path)}: {first[0]} {first[1]:.0%} ({rest}){doubt}{notes}", flush=True)
    return failed
