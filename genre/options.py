"""Values of options on command lines: numbers, and paths and other names with a home directory."""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path


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
