"""Processes that make batches, and the signals that reach them."""

from __future__ import annotations

import os
import signal
import sys
import threading


def leave_signals_to_the_parent(worker: int) -> None:
    """Go on making batches when the run is asked to stop.

    A terminal and a scheduler send their signals to all processes of a run. The one
    that trains answers them, and needs batches until its step ends. With SIGTERM it
    also ends a worker that hangs: from anyone else it is ignored.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere nothing says who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        thread = threading.Thread(target=_end_for, args=(os.getppid(),), daemon=True)
        thread.start()


def _end_for(parent: int) -> None:
    """Wait for the parent's SIGTERM, and exit."""
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)
