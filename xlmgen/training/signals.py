"""Stop at Ctrl-C, SIGTERM and SIGUSR1 while a run is prepared; imports no torch."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

WARNING = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has none
"""Signal of a scheduler shortly before the time limit of a job."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, WARNING)
"""Signals that stop a training: Ctrl-C, SIGTERM and the warning of a scheduler."""
DEAF = 15.0
"""Seconds after which a process that has not handled a signal is ended."""
_heard = threading.Event()
Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """Raised when a signal stops the training; not an `Exception`, like Ctrl-C.

    Args:
        signum: the signal.
        saved: whether the state was saved.
    """

    def __init__(self, signum: int, *, saved: bool) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.saved = saved


def stop_at_once(signum: int, frame: FrameType | None) -> None:
    _heard.set()
    raise Interrupted(signum, saved=False)


def handle(handler: Handler) -> None:
    """Install a handler of `SIGNALS`; only the main thread can, others do nothing."""
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, handler)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Interrupted` at a signal, and restore the earlier handlers afterwards.

    A process that waits outside of Python, for example for other processes, cannot run
    a handler. It is ended `DEAF` seconds after the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {signum: signal.getsignal(signum) for signum in SIGNALS}
    try:
        handle(stop_at_once)
        with _ended_when_deaf():
            yield
    finally:
        for signum, handler in earlier.items():
            signal.signal(signum, handler)


@contextmanager
def _ended_when_deaf() -> Iterator[None]:
    """Receive signals in a thread, which runs while the main thread waits."""
    _heard.clear()
    here, there = socket.socketpair()
    there.setblocking(False)
    earlier = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)

    def leave() -> None:
        """Disconnect a worker, which handles its own signals."""
        if there.fileno() != -1:
            signal.set_wakeup_fd(-1)
            there.close()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=leave)
    threading.Thread(target=_listen, args=(here,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        there.close()


def _listen(signals: socket.socket) -> None:
    with signals:
        while number := signals.recv(1):
            signum = number[0]
            if signum not in SIGNALS or signal.getsignal(signum) is not stop_at_once:
                continue  # the training handles this signal
            if not _heard.wait(DEAF):
                print(f"stopped by {signal.Signals(signum).name}", file=sys.stderr)
                os._exit(128 + signum)
