"""`genre FILE ...`, or `python -m genre FILE ...`: classify files and folders from the shell."""

import argparse
import errno
import io
import os
import signal
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from genre import __version__
from genre.audio.pipes import STDIN
from genre.cli import command_name
from genre.cli.stop import SIGNALS, Stop
from genre.cli.values import audio, in_home, number, path
from genre.errors import GenreError
from genre.files import json_list
from genre.inference import MAX_OVERLAP

DESCRIPTION = """\
Predict the music genre of audio files.

A prediction is the nearest of the genres that the model was trained on. Music of another genre (for the shipped model:
jazz, reggae, classical ...) is none of them, but is still assigned to the nearest one.
"""
EXIT_STATUSES = """\
exit status:
  0    every file was classified
  1    a file or folder could not be read or is missing, or a folder holds no audio; all others were classified
  2    wrong options, no such checkpoint or cluster, or the output cannot be written
  130  stopped by Ctrl-C (143 by SIGTERM, 129 by SIGHUP); all output written so far is complete
  141  the reader of the output has closed the pipe
"""
CLOSED_PIPE = 128 + 13  # the status of a program that SIGPIPE ends
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
            with json_list(sys.stdout) if arguments.json else nullcontext() as append:
                from genre.cli.run import run  # here, so that Ctrl-C is also handled while torch is imported

                return 1 if run(arguments, stop, append) else 0
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
        prog=command_name(),
        description=DESCRIPTION,
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=audio,
        metavar="FILE",
        help="audio or video files, folders of them, or pipes; - is standard input",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--checkpoint", type=in_home, help="a name in checkpoints/, a folder, or hf-hub:user/repo@revision"
    )
    parser.add_argument(
        "--overlap",
        type=number(float, f"a number from 0 to {MAX_OVERLAP}", lambda value: 0 <= value <= MAX_OVERLAP),
        default=0.0,
        help=f"fraction of a window that overlaps the next, from 0 to {MAX_OVERLAP} (default: 0)",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a JSON list: one object per file, with all windows")
    output.add_argument("--csv", action="store_true", help="print CSV: one row per file")
    output.add_argument("--out", type=path, help="for --cluster: append one JSON line per file here, or resume a run")
    parser.add_argument("--cluster", metavar="ADDRESS", help="classify on a Dask cluster; 'local' uses all cores")
    parser.add_argument(
        "--labels",
        type=path,
        metavar="FOLDER",
        help="also write a label track for Audacity per file, SONG.mp3.labels.txt, replacing that of an earlier run",
    )
    parser.add_argument(
        "--picture",
        type=path,
        metavar="FOLDER",
        help="also write a picture to send per file, SONG.mp3.genre.png, replacing that of an earlier run",
    )
    arguments = parser.parse_args(argv)
    if (arguments.cluster is None) != (arguments.out is None):
        parser.error("--cluster and --out go together")
    if arguments.cluster and (arguments.labels or arguments.picture):
        parser.error("--labels and --picture do not work with --cluster")
    if arguments.cluster and any(str(path) in STDIN for path in arguments.files):
        parser.error("standard input does not work with --cluster")
    if sys.stdout is None:
        parser.error("standard output is closed")
    return arguments


def _print_error(message: object) -> None:
    with suppress(OSError):  # its reader may have gone
        print(message, file=sys.stderr)


def _drop_output() -> None:
    """Discard buffered output; otherwise Python writes it again at exit and prints an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command() -> None:
    """The program: the command line, then the end of the process with its status."""
    status = main()
    for each in SIGNALS:  # `timeout` sends its signal twice, and the second one may come while Python exits
        signal.signal(each, signal.SIG_IGN)
    sys.exit(status)


if __name__ == "__main__":
    command()
