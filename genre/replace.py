"""Replace a file: write the new one beside it, sync it to the disk, rename it.

Whoever reads the file, also after a crash or a power cut, finds the old one or the new one, and neither cut off nor
full of zeros. Whatever takes the place of an earlier file is written this way.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """The path of a new file, which takes the place of the one at `path` at the end of the context.

    After an error the new file is removed, and `path` is as it was. Of a symbolic link the target is replaced.

    Raises:
        OSError: there is no room or no permission.
    """
    target = path.resolve()
    new = target.with_name(f"{target.name}.tmp")
    try:
        yield new
        move(new, target)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def move(new: Path, target: Path) -> None:
    """Sync a file, or a folder with all that is in it, and rename it to `target`; a file at `target` is replaced.

    Raises:
        OSError: as `replaced`; also where `target` is a folder, or on another file system.
    """
    for path in (new, *(new.rglob("*") if new.is_dir() else ())):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
    new.replace(target)


def numbered(path: Path) -> Iterator[Path]:
    """`path`, `path-2`, `path-3` and so on: names to choose from for what is kept of earlier runs."""
    yield path
    yield from (path.with_name(f"{path.name}-{number}") for number in count(2))
