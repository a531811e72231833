"""The command line: `genre FILE ...`, or `python -m genre FILE ...`, classifies files and folders.

What takes long to import is imported where it is used, so that `--help` is quick and Ctrl-C works meanwhile.
"""

import argparse
import atexit
import errno
import io
import itertools
import math
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from genre import __version__
from genre.errors import AudioError, GenreError
from genre.files import json_list, one_line
from genre.inference import MAX_OVERLAP

if TYPE_CHECKING:
    from PIL.Image import Image

    from genre.inference.prediction import Prediction

Result = TypeVar("Result")

DESCRIPTION = """\
Predict the music genre of audio files, and print a line per file.

A prediction is the nearest of the genres that the model was trained on. Where the model is not confident, it names the
few that a file may have. Music of another genre (for the shipped model: jazz, reggae, classical ...) is none of them,
but still gets the nearest one.
"""
EXIT_STATUSES = """\
exit status:
  0    Every file was classified.
  1    A file or folder is missing or could not be read, or a folder holds no audio; all others were classified.
  2    The options are wrong, there is no such checkpoint or cluster, or the output cannot be written.
  130  Ctrl-C stopped the run (143: SIGTERM, 129: SIGHUP); all output that was written so far is complete.
  141  The reader of the output has closed the pipe.
"""
CLOSED_PIPE = 128 + 13  # the status of a program that SIGPIPE ends
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NEAREST = 3  # genres whose probabilities are printed
# Windows has no SIGHUP
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
REPEAT_SECONDS = 1  # `timeout` sends its signal twice, to the program and to its group


def command() -> None:
    """The program: the command line, then the end of the process with its status."""
    # Before torch is imported: its threads spin for some microseconds while they wait for each other, then sleep. By
    # default they spin on, and beside another busy process a song takes many times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "600")
    status = main()
    for each in SIGNALS:  # `timeout` sends its signal twice, and the second one may come while Python exits
        signal.signal(each, signal.SIG_IGN)
    if "distributed" not in sys.modules:  # Dask's threads end with Python
        with suppress(OSError):  # as of a full disk, which Python reports below
            sys.stdout.flush()
            sys.stderr.flush()
            atexit._run_exitfuncs()  # deletes copies of pipes
            os._exit(status)  # Python would free all of PyTorch piece by piece, for as long as a song takes
    sys.exit(status)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if sys.stderr is None:  # closed: print would write messages to standard output
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (until the end)
    arguments = _parse(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # file names may hold characters that the terminal cannot encode
        if arguments.json or arguments.csv:  # on Windows, a redirected output would have its encoding and line ends
            sys.stdout.reconfigure(encoding="utf-8", newline="")
    with Stop() as stop:
        try:
            failed = _run_on_cluster(arguments) if arguments.cluster else _run(arguments, stop)
            return 1 if failed else 0
        except KeyboardInterrupt:
            _print_error("Stopped; run the same command again to resume." if arguments.cluster else "Stopped.")
            return 128 + (stop.received or signal.SIGINT)
        except GenreError as error:
            _print_error(error)
            return 2
        except BrokenPipeError:
            _drop_output()
            return CLOSED_PIPE
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            _drop_output()
            _print_error(f"The output cannot be written: {error.strerror}.")
            return 2


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=_name(),
        description=DESCRIPTION,
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add = parser.add_argument
    add(
        "files",
        nargs="+",
        type=_audio,
        metavar="FILE",
        help="Classify these audio or video files, folders of them, or pipes; - is standard input.",
    )
    add("-h", "--help", action="help", help="Print this help and exit.")
    add("--version", action="version", version=__version__, help="Print the version and exit.")
    add(
        "--checkpoint",
        type=in_home,
        help="Use this model in place of the shipped one: a name in checkpoints/, a folder, or "
        "hf-hub:user/repo@revision.",
    )
    add(
        "--overlap",
        type=number(float, f"a number from 0 to {MAX_OVERLAP}", lambda value: 0 <= value <= MAX_OVERLAP),
        default=0.0,
        help=f"Let each window overlap the next by this fraction of its length, from 0 to {MAX_OVERLAP} (default: 0).",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "--json", action="store_true", help="Print a JSON list with an object per file, with its sections and windows."
    )
    output.add_argument("--csv", action="store_true", help="Print CSV with a row per file.")
    output.add_argument(
        "--out",
        type=path,
        metavar="JSONL",
        help="Append a JSON line per file to this file (with --cluster); the same command again resumes the run.",
    )
    add("--cluster", metavar="ADDRESS", help="Classify on the Dask cluster at this address; 'local' starts one here.")
    add(
        "--labels",
        type=path,
        metavar="FOLDER",
        help="Also write a label track for Audacity per file, SONG.mp3.labels.txt; that of an earlier run is replaced.",
    )
    add(
        "--picture",
        type=path,
        metavar="FOLDER",
        help="Also write a picture to send per file, SONG.mp3.genre.png; that of an earlier run is replaced.",
    )
    arguments = parser.parse_args(argv)
    if (arguments.cluster is None) != (arguments.out is None):
        parser.error("--cluster and --out go together")
    if arguments.cluster and (arguments.labels or arguments.picture):
        parser.error("--labels and --picture do not work with --cluster")
    if arguments.cluster and {"-", "/dev/stdin"} & set(map(str, arguments.files)):
        parser.error("standard input does not work with --cluster")
    if sys.stdout is None:
        parser.error("standard output is closed")
    return arguments


def number(kind: type, wanted: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """An argparse type: numbers of this kind that fit; others are refused as not what is wanted."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan  # fits nothing
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return parse


def path(text: str) -> Path:
    """An argparse type: a path, with the home directory in place of `~`; an empty one is refused."""
    if not text:  # as of an unset variable in a script; Path would be the current folder
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(in_home(text))


def in_home(text: str) -> str:
    """A path or another name, with the home directory in place of `~`, a leading `~/`, or the `~user` of another user.

    Shells replace it at the start of a word alone, so not in `--out=~/model`. A file or folder whose own name begins
    with `~` is meant where there is one.
    """
    first = text.partition("/")[0]
    is_home = first == "~" or (first.startswith("~") and not os.path.lexists(first))
    return os.path.expanduser(text) if is_home else text  # noqa: PTH111 (other names, too)


def _name() -> str:
    """How the command was started: as a module of Python, or by its own name where the package is installed."""
    return "python -m genre" if Path(sys.argv[0]).name == "__main__.py" else "genre"


def _audio(text: str) -> Path:
    """As `path`, for what is read; an address is refused with the way to read it."""
    if re.match("(https?|s?ftps?|smbs?|file)://", text, re.IGNORECASE):
        raise argparse.ArgumentTypeError(
            f"{text} is an address, and files alone are read: curl -s {text} | {_name()} -"
        )
    return path(text)


def _run(arguments: argparse.Namespace, stop: "Stop") -> int:
    """Classify files one by one and write each result as soon as it is there; returns how many of them failed.

    Raises:
        GenreError: there is no such checkpoint, or an output cannot be written.
    """
    with json_list(sys.stdout) if arguments.json else nullcontext() as append:
        from genre.audio import worker

        worker.start()

        import torch

        from genre.features.image import Spectrogram
        from genre.inference import export
        from genre.inference.classify import load
        from genre.models.model import keep_freed_memory

        keep_freed_memory()
        classifier = load(arguments.checkpoint)
        files, failed = _expand(arguments.files)
        song_files = export.SongOutputs(files, classifier.labels, arguments.labels, arguments.picture)
        append_csv = export.csv_writer(sys.stdout, classifier.labels) if arguments.csv else None

        def classify(song: Path) -> "tuple[Prediction | AudioError, Image | None]":
            spectrogram = Spectrogram(classifier.sample_rate) if arguments.picture else None
            on_clip = spectrogram.add if spectrogram else None
            try:
                prediction = classifier.classify(song, overlap=arguments.overlap, on_clip=on_clip)
                return prediction, spectrogram.image() if spectrogram else None
            except AudioError as error:
                return error, None

        # As many files at once as there are cores, each on one, since cores that share a file wait for each other; but
        # pipes one by one, since who writes them may do so in turn.
        cores = torch.get_num_threads()
        at_once = 1 if any(map(_is_pipe, files)) else max(1, min(cores, len(files)))
        if at_once == cores:
            torch.set_num_threads(1)  # otherwise the files share a thread for each core, clip by clip
        for song, (result, image) in zip(files, _in_order(classify, files, at_once), strict=True):
            with stop.held():
                if isinstance(result, AudioError):
                    failed += 1
                else:
                    song_files.write(song, result, image)
                if append:
                    append(export.to_row(song, result))
                elif append_csv:
                    append_csv(song, result)
                else:
                    _print_line(song, result)
        return failed


def _in_order(function: Callable[[Path], Result], files: list[Path], at_once: int) -> Iterator[Result]:
    """Results of a function for files, in their order, from as many threads; a few are ahead of what is asked for."""
    pool = ThreadPoolExecutor(at_once)
    left = iter(files)
    try:
        begun = deque(pool.submit(function, file) for file in itertools.islice(left, 2 * at_once))
        while begun:
            yield begun.popleft().result()
            begun.extend(pool.submit(function, file) for file in itertools.islice(left, 1))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _print_line(song: Path, result: "Prediction | AudioError") -> None:
    """Print what the headline says, and the nearest genres; errors go to standard error."""
    if isinstance(result, AudioError):
        print(f"{one_line(song)}: {result}", file=sys.stderr, flush=True)
        return
    nearest = ", ".join(f"{genre} {p:.0%}" for genre, p in list(result.probabilities.items())[:NEAREST])
    notes = "".join(f". {note.removesuffix('.')}" for note in result.notes)
    print(f"{one_line(song)}: {result.headline.text} ({nearest}){notes}", flush=True)


def _run_on_cluster(arguments: argparse.Namespace) -> int:
    """Classify on a cluster; returns how many files and folders failed.

    Raises:
        GenreError: Dask is not installed, there is no such checkpoint or cluster, or the output cannot be written.
    """
    try:
        from genre.inference import cluster
    except ModuleNotFoundError as error:
        raise GenreError("--cluster needs Dask: install requirements-cluster.txt, or the extra cluster.") from error
    files, failed = _expand(arguments.files)
    return failed + cluster.classify_files(
        files, arguments.out, arguments.cluster, arguments.checkpoint, arguments.overlap
    )


def _expand(paths: list[Path]) -> tuple[list[Path], int]:
    """Replace folders by the audio files in them, and report folders that fail.

    Returns:
        the files, and how many folders failed.
    """
    from genre.audio.folders import find_audio, left_out

    files: list[Path] = []
    folders, failed = [], 0
    for place in paths:
        if not _is_folder(place):
            files.append(place)
            continue
        found = find_audio(place)
        problems = found.unreadable
        if not problems and not found.files:
            problems = {place: "no audio files in this folder"}
        for where, problem in problems.items():
            print(f"{one_line(where)}: {problem}", file=sys.stderr)
        files += found.files
        failed += len(problems)
        folders.append(found)
    for line in left_out(folders):
        print(line, file=sys.stderr)
    return files, failed


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except OSError:  # its parent may not be read; decoding it reports that
        return False


def _is_pipe(place: Path) -> bool:
    from genre.audio.audio import STDIN

    try:
        return str(place) in STDIN or place.is_fifo()
    except OSError:  # as above
        return False


class Stop:
    """Context manager for stop signals: Ctrl-C, `timeout`, a closed terminal.

    The first one raises KeyboardInterrupt, but not while a result is being written; a further one after
    `REPEAT_SECONDS` raises it at once. Enter it in the main thread. Signals that were ignored before, as by `nohup`,
    remain ignored.

    Attributes:
        received: number of the first signal; None before.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._writing = False

    def __enter__(self) -> "Stop":
        before = {each: signal.getsignal(each) for each in SIGNALS}
        self._before = {each: handler for each, handler in before.items() if handler not in (signal.SIG_IGN, None)}
        for each in self._before:
            signal.signal(each, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _receive(self, received: int, _: object) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = received, now
            if not self._writing:
                raise KeyboardInterrupt
        elif now - self._since >= REPEAT_SECONDS:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back while a result is written.

        Raises:
            KeyboardInterrupt: a signal came meanwhile, after the result is written; or before, where C code of the
                decoder has swallowed the exception, and then a result for a partly decoded file is not written.
        """
        self._check()
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
        self._check()

    def _check(self) -> None:
        if self.received is not None:
            raise KeyboardInterrupt


def _print_error(message: object) -> None:
    with suppress(OSError):  # its reader may have gone
        print(message, file=sys.stderr)


def _drop_output() -> None:
    """Discard buffered output; otherwise Python writes it again at exit and prints an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
