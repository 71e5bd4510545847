"""Signal handling in the worker processes of a data loader."""

from __future__ import annotations

import os
import signal
import sys
import threading


def leave_signals_to_the_parent(worker: int) -> None:
    """Ignore signals that ask the run to stop; a `worker_init_fn`.

    A terminal or a scheduler sends its signals to all processes of a run. The training
    process handles them, and needs batches until its step ends. It also ends a hanging
    worker with SIGTERM, so that signal is obeyed from the parent only.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere the sender of a signal is unknown
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        thread = threading.Thread(
            target=_exit_on_sigterm_of, args=(os.getppid(),), daemon=True
        )
        thread.start()


def _exit_on_sigterm_of(parent: int) -> None:
    """Exit on SIGTERM from the parent; ignore it from others."""
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)
