"""Ctrl-C, SIGTERM and SIGUSR1 while a run is prepared: stop at once. No torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

WARNING = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has none
"""What a scheduler sends before the time is up, so that a job can be queued again."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, WARNING)
"""A person's, the system's, and the warning that a scheduler is asked to send."""
Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """Training was asked to stop; no error, so that nothing takes it for one.

    Args:
        signum: the signal that asked.
        saved: whether the state was saved before.
    """

    def __init__(self, signum: int, *, saved: bool) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.saved = saved


def stop_at_once(signum: int, frame: FrameType | None) -> None:
    raise Interrupted(signum, saved=False)


def handle(handler: Handler) -> None:
    """Give the signals a handler, where this is the thread that hears them."""
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, handler)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Interrupted` at a signal, and put the handlers back afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {signum: signal.getsignal(signum) for signum in SIGNALS}
    try:
        handle(stop_at_once)
        yield
    finally:
        for signum, handler in earlier.items():
            signal.signal(signum, handler)
