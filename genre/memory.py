"""Have malloc hold on to what tensors leave behind, where it is glibc's.

It gives freed tensors of megabytes back to the system, which then clears every page again for the next ones: a fifth of
the time that a clip takes, and a third in Dask's workers, which start with a malloc that gives back more.
"""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h
KEPT_BYTES, LARGEST_KEPT_BYTES = 2**28, 2**25  # in all, and a piece, where malloc.h allows no more


def keep_memory() -> None:
    """For this process, from now on; called by programs, since a library should leave that to whoever imports it."""
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
