"""Have malloc hold on to what tensors leave behind, where it is glibc's.

It gives freed tensors of megabytes back to the system, which then clears every page again for the next ones: a fifth of
the time that a clip takes, a third in Dask's workers, which start with a malloc that gives back more, and a good part
of a training step.

Called by programs, since a library should leave that to whoever imports it; it holds from then on, for the process.
"""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of mallopt, in malloc.h
KEPT_BYTES, LARGEST_KEPT_BYTES = 2**28, 2**25  # in all, and a piece, where malloc.h allows no more
NEVER = -1


def keep_freed_memory() -> None:
    """For programs that listen: some of it, since they run for long."""
    _set({M_TRIM_THRESHOLD: KEPT_BYTES, M_MMAP_THRESHOLD: LARGEST_KEPT_BYTES})


def keep_all_freed_memory() -> None:
    """For training, which needs as much in every step, in larger pieces."""
    _set({M_TRIM_THRESHOLD: NEVER, M_MMAP_MAX: 0})


def _set(options: dict[int, int]) -> None:
    with suppress(AttributeError, TypeError):  # macOS has no mallopt, and Windows no library without a name
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options.items():
            mallopt(option, value)
