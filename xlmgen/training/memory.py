"""Keep freed memory for later allocations (glibc)."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT = 2**30
"""Bytes; only larger blocks, and more free memory at the end of the heap, are returned
to the system."""


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next allocation.

    By default it returns large blocks to the system at once, and the system provides
    new ones page by page. A network allocates the same blocks in every pass: on a CPU
    this costs small networks up to half of their time. Only glibc has this setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, KEPT)
    mallopt(TRIM_THRESHOLD, KEPT)
