"""Processes of a sweep end when the sweep's own process ends, however it ends.

Otherwise the runs of a killed sweep would go on, and the same command could not
continue them. Linux only: the kernel sends the signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

VARIABLE = "XLMGEN_SWEEP_PROCESS"
PR_SET_PDEATHSIG = 1  # prctl(2)


def lifeline() -> Mapping[str, str]:
    """Environment variables that make a child process end with this one."""
    return {VARIABLE: str(os.getpid())}


def end_with_parent() -> None:
    """Have SIGTERM sent to this process when the sweep that started it ends."""
    parent = os.environ.pop(VARIABLE, None)
    if parent is None or sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGTERM)
