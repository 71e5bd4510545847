"""File locks that the system releases when their process ends, even after a kill.

They use `filelock`. Some network file systems have no locks.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xlmgen.errors import UserError

WAIT = 10.0
"""Seconds that `locked` waits for another process."""
POLL = 0.02
"""Seconds between two attempts."""


@contextmanager
def hold(lock: Path, occupied: Callable[[str], bool]) -> Iterator[bool]:
    """Hold a lock file while the block runs, and remove the file after it.

    Args:
        lock: the file.
        occupied: called once with the name of the process that holds the lock, if
            another does; returns whether to wait for that process.

    Yields:
        whether this process holds the lock: false if it does not wait, or if the file
        system has no locks.
    """
    from filelock import FileLock, Timeout

    file = FileLock(lock, fallback_to_soft=False, poll_interval=POLL)
    try:
        try:
            file.acquire(blocking=False)
        except Timeout:
            if occupied(_owner(lock)):
                file.acquire()
    except OSError:  # nothing can be written here, or this file system has no locks
        with suppress(OSError):
            if not lock.stat().st_size:  # no process holds it
                lock.unlink()
    try:
        if file.is_locked:
            lock.write_text(f"{os.getpid()} on {platform.node()}", "utf-8")
        yield file.is_locked
    finally:
        if file.is_locked:
            with suppress(OSError):
                lock.unlink()  # before the release: a waiting process opens a new file
            file.release()


def is_held(lock: Path) -> bool:
    """Whether another process holds a lock file."""
    if not lock.exists():
        return False
    with hold(lock, lambda owner: False) as held:
        return not held


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock on a folder; wait up to `WAIT` seconds for another process.

    Windows has no locks on folders. On Windows, and on file systems without locks, the
    block runs without a lock.

    Raises:
        UserError: another process holds the lock for longer than `WAIT`.
    """
    if sys.platform == "win32":
        yield
        return
    from filelock import lock_descriptor

    handle = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + WAIT
        with suppress(OSError):
            while not lock_descriptor(handle, blocking=False):
                if time.monotonic() > deadline:
                    raise UserError(
                        f"another xlmgen is writing to {folder}", "run again later"
                    )
                time.sleep(POLL)
        yield
    finally:
        os.close(handle)


def _owner(lock: Path) -> str:
    """Read the process id and host from a lock file; `another` if it has none."""
    with suppress(OSError):
        return lock.read_text("utf-8", errors="replace")[:100] or "another"
    return "another"
