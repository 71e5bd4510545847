"""Memory that was freed and will be needed again."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT = 2**30
"""Bytes: larger blocks, and more than this at the end, go back to the system."""


def keep_freed_memory() -> None:
    """Ask the C library to keep what is freed for the next allocation.

    It gives large blocks back to the system at once, and gets the next ones page by
    page. A network allocates the same blocks in every pass: on a CPU that costs small
    networks up to half of their time. Only glibc is asked; others ignore this.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, KEPT)
    mallopt(TRIM_THRESHOLD, KEPT)
