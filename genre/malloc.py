"""Configure glibc's malloc to keep freed memory for the next tensors.

By default it returns freed blocks of megabytes to the system, which then zeroes every page again for the next ones: a
fifth of the time of classifying a clip, a third in Dask's workers, which start with a malloc that returns more.

The settings hold for the whole process, so programs call these functions, not the library when it is imported.
"""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of mallopt, in malloc.h
KEPT_BYTES, LARGEST_KEPT_BYTES = 2**28, 2**25  # in total, and of one block, for which malloc.h allows no more
NEVER = -1


def keep_freed_memory() -> None:
    """Keep up to `KEPT_BYTES`; for inference, in processes that run for long."""
    _set({M_TRIM_THRESHOLD: KEPT_BYTES, M_MMAP_THRESHOLD: LARGEST_KEPT_BYTES})


def keep_all_freed_memory() -> None:
    """Keep everything; for training, where every step needs as much, in larger blocks."""
    _set({M_TRIM_THRESHOLD: NEVER, M_MMAP_MAX: 0})


def _set(options: dict[int, int]) -> None:
    with suppress(AttributeError, TypeError):  # macOS has no mallopt, and Windows cannot load a library without a name
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options.items():
            mallopt(option, value)
