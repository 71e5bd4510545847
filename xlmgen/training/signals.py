"""Ctrl-C, SIGTERM and SIGUSR1 while a run is prepared: stop at once. No torch."""

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
"""What a scheduler sends before the time is up, so that a job can be queued again."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, WARNING)
"""A person's, the system's, and the warning that a scheduler is asked to send."""
DEAF = 15.0
"""Seconds after which a process that has not answered a signal is ended."""
_heard = threading.Event()
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
    _heard.set()
    raise Interrupted(signum, saved=False)


def handle(handler: Handler) -> None:
    """Give the signals a handler, where this is the thread that hears them."""
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, handler)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Interrupted` at a signal, and put the handlers back afterwards.

    Where the process waits outside of Python, such as for other processes, it is ended.
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
    """Have a thread listen, which runs while the main one waits for something."""
    _heard.clear()
    here, there = socket.socketpair()
    there.setblocking(False)
    earlier = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)

    def leave() -> None:
        """In a worker, whose signals are its own."""
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
                continue  # training answers it
            if not _heard.wait(DEAF):
                print(f"stopped by {signal.Signals(signum).name}", file=sys.stderr)
                os._exit(128 + signum)
