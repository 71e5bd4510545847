"""Locks of one process at a time, which end with it, however it ends.

They are the system's own. Windows and some network file systems have none.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_held: set[int] = set()


@contextmanager
def hold(lock: Path, occupied: Callable[[str], bool]) -> Iterator[bool]:
    """Hold a lock file while the block runs, and take the file away after it.

    Args:
        lock: the file.
        occupied: told which process has it, once, if one does; whether to wait for it.

    Yields:
        whether it is held: not if nobody waits, nor where there are no locks.
    """
    handle = acquire(lock, occupied)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            lock.unlink(missing_ok=True)  # while it is ours: who waits looks again
            _held.discard(handle)
            os.close(handle)


def acquire(lock: Path, occupied: Callable[[str], bool]) -> int | None:
    """An open handle of the lock file, or None; see `hold`."""
    try:
        import fcntl
    except ImportError:
        return None
    told = False
    while True:
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # nothing can be written here
            return None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(handle, 100).decode(errors="replace") or "another"
                if not told and not occupied(owner):
                    os.close(handle)
                    return None
                told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(lock)):
                    os.truncate(handle, 0)
                    os.write(handle, f"{os.getpid()} on {platform.node()}".encode())
                    _held.add(handle)
                    return handle
        except OSError:  # this file system has no locks
            lock.unlink(missing_ok=True)
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # of a lock whose owner took it away


def _leave_to_the_parent() -> None:
    """A fork shares the lock: one that outlives its parent would go on holding it."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
