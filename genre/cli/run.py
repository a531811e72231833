"""`python -m genre`: classify files and folders, and write each result as soon as it is available."""

import sys
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from genre.audio.folders import find_audio, left_out
from genre.audio.pipes import as_file
from genre.cli.export import Export
from genre.cli.stop import Stop
from genre.errors import AudioError, GenreError
from genre.files import one_line
from genre.inference import report
from genre.inference.classify import Classifier, load
from genre.inference.prediction import Prediction
from genre.malloc import keep_freed_memory

Result = tuple[Path, Prediction | AudioError]


def run(arguments: Namespace, stop: Stop, append: Callable[[dict], None] | None) -> int:
    """Classify the files and folders of the command line; returns how many of them failed.

    Args:
        arguments: parsed options.
        stop: delays signals until a result is written.
        append: takes the rows of `--json`; None without it.

    Raises:
        GenreError: there is no such checkpoint or cluster, or an output cannot be written.
    """
    if arguments.cluster:
        return _run_on_cluster(arguments)
    keep_freed_memory()
    classifier = load(arguments.checkpoint)
    files, failed = _expand(arguments.files)
    export = Export(classifier, files, arguments.labels, arguments.picture)
    results = export.each(stop.between(_classify_all(classifier, files, arguments.overlap, export)))
    if append:
        return failed + report.append_rows(results, append)
    if arguments.csv:
        return failed + report.write_csv(results, classifier.labels, sys.stdout)
    return failed + _write_text(results)


def _run_on_cluster(arguments: Namespace) -> int:
    """Classify on a cluster; returns how many files and folders failed."""
    try:
        from genre.inference import cluster  # here, since only this option needs Dask
    except ModuleNotFoundError as error:
        raise GenreError("--cluster needs Dask: install requirements-cluster.txt, or the extra cluster.") from error
    files, failed = _expand(arguments.files)
    return failed + cluster.label(files, arguments.out, arguments.cluster, arguments.checkpoint, arguments.overlap)


def _expand(paths: list[Path]) -> tuple[list[Path], int]:
    """Replace folders by the audio files in them, and report folders that fail.

    Returns:
        the files, and how many folders failed.
    """
    files: list[Path] = []
    folders, failed = [], 0
    for path in paths:
        if not _is_folder(path):
            files.append(path)
            continue
        found = find_audio(path)
        problems = found.unreadable
        if not problems and not found.files:
            problems = {path: "no audio files in this folder"}
        for place, problem in problems.items():
            print(f"{one_line(place)}: {problem}", file=sys.stderr)
        files += found.files
        failed += len(problems)
        folders.append(found)
    for line in left_out(folders):
        print(line, file=sys.stderr)
    return files, failed


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # its parent may not be read; decoding it reports that
        return False


def _classify_all(classifier: Classifier, files: Iterable[Path], overlap: float, export: Export) -> Iterator[Result]:
    for path in files:
        try:
            with as_file(path) as file:
                predictions = classifier.stream(file, overlap=overlap, on_clip=export.new_spectrogram())
                result: Prediction | AudioError = deque(predictions, maxlen=1).pop()
        except AudioError as error:
            result = error
        yield path, result


def _write_text(results: Iterable[Result]) -> int:
    """Print one line per file; returns how many failed."""
    failed = 0
    for path, result in results:
        if isinstance(result, AudioError):
            failed += 1
            print(f"{one_line(path)}: {result}", file=sys.stderr, flush=True)
            continue
        nearest = ", ".join(f"{genre} {p:.0%}" for genre, p in list(result.probabilities.items())[:3])
        notes = "".join(f". {note.removesuffix('.')}" for note in result.notes)
        print(f"{one_line(path)}: {result.headline.text} ({nearest}){notes}", flush=True)
    return failed
