"""`python -m genre FILE ...`: classify files and folders from the shell."""

import argparse
import errno
import os
import signal
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from genre.cli.stop import Stop
from genre.errors import GenreError
from genre.json_files import json_list

EXIT_STATUSES = """\
exit status:
  0    every file was classified
  1    a file or folder could not be read or is missing, or a folder holds no audio; all others were classified
  2    wrong options, no such checkpoint or cluster, or the output cannot be written
  130  stopped by Ctrl-C (143 by SIGTERM, 129 by SIGHUP); what was written by then is complete
  141  the reader of the output has closed it
"""
CLOSED_PIPE = 128 + 13  # as where SIGPIPE ends a program
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status."""
    arguments = _parse(argv)
    sys.stdout.reconfigure(errors="replace")  # names may hold what the terminal cannot show
    with Stop() as stop:
        try:
            with json_list(sys.stdout) if arguments.json else nullcontext() as append:
                from genre import shell  # here, so that Ctrl-C is also taken while torch is loaded

                return 1 if shell.run(arguments, stop, append) else 0
        except KeyboardInterrupt:
            _say("Stopped; the same command goes on from here." if arguments.cluster else "Stopped.")
            return 128 + (stop.received or signal.SIGINT)
        except GenreError as error:
            _say(error)
            return 2
        except BrokenPipeError:
            _drop_output()
            return CLOSED_PIPE
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            _drop_output()
            _say(f"The output cannot be written: {error.strerror}.")
            return 2


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m genre",
        description="Tell the genre of songs.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="audio or video files, folders of them, or pipes; - is standard input",
    )
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
    if sys.stdout is None:
        parser.error("standard output is closed")
    return arguments


def _overlap(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("must be at least 0 and below 1")
    return value


def _say(message: object) -> None:
    with suppress(OSError):  # nobody reads it any more
        print(message, file=sys.stderr)


def _drop_output() -> None:
    """Let what is still buffered go nowhere; Python would try to write it again at exit and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
