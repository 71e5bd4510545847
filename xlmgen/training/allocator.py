"""What the C library does with memory that is free again."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's `malloc.h`."""
LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep the memory of tensors that are gone for the next ones, until we end.

    glibc gives large pieces back to the system, and gets them anew page by page, full
    of zeros: a tenth of the time of a training step on a CPU. A step needs what the one
    before it needed, so that little is held in vain.

    Returns:
        Whether this C library can be told.
    """
    try:
        tell = ctypes.CDLL(None).mallopt
    except (
        AttributeError,
        OSError,
        TypeError,
    ):  # TypeError: Windows, where None is not
        return False
    # Where one of the two is told, glibc stops adapting the other.
    return bool(tell(TRIM_THRESHOLD, LARGEST)) and bool(tell(MMAP_THRESHOLD, LARGEST))
