"""Process untrusted input in a subprocess with limited time and memory.

A subprocess is needed because Python functions written in C, such as repeating a string
or matching a pattern, cannot be interrupted from within their process.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from xlmgen.errors import UserError

SECONDS = 2
"""CPU time; a render takes a third of a second. Windows has no such limit."""
WALL = 60.0
"""Seconds of wall time; longer, because the machine may be busy."""
MEMORY = 512 * 2**20
"""Bytes of address space on Linux, of used memory elsewhere; not on Windows."""
OUT_OF_MEMORY = 71  # exit code
_inside = False
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from xlmgen.io.bounded import main; main()"
)


class OutOfBounds(Exception):
    """Raised if the work exceeds a limit, which the message names.

    Args:
        place: last argument of `report`.
    """

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


def call(function: Callable[[Any], Any], argument: Any) -> Any:
    """Call a module's function in a subprocess; within one, call it directly.

    Args:
        function: must return data for JSON.
        argument: must be picklable.

    Raises:
        OutOfBounds: it exceeded the limit of time or memory.
        UserError: the subprocess cannot be started.
    """
    if _inside:
        return function(argument)
    request = pickle.dumps((function.__module__, function.__name__, argument))
    path = json.dumps([entry or os.getcwd() for entry in sys.path])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-X", "utf8", "-c", PROGRAM, path],
            input=request,
            capture_output=True,
            timeout=WALL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OutOfBounds(f"it takes longer than {WALL:g} s", _last(error)) from None
    except OSError as error:
        raise UserError(
            f"cannot start {sys.executable}: {error.strerror}", "free some memory"
        ) from error
    place = _last(done)
    if done.returncode == -getattr(signal, "SIGXCPU", 0) != 0:
        raise OutOfBounds(f"it takes longer than {SECONDS} s", place)
    if done.returncode == OUT_OF_MEMORY or done.returncode < 0:
        raise OutOfBounds(f"it needs more than {MEMORY // 2**20:,} MB", place)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return json.loads(done.stdout)


def report(place: str) -> None:
    """Report the current file to the parent process, for errors."""
    print(place, file=sys.stderr, flush=True)


def main() -> None:
    """Run one call in the subprocess: request on stdin, result on stdout."""
    global _inside
    _inside = True
    module, name, argument = pickle.load(sys.stdin.buffer)
    function = getattr(importlib.import_module(module), name)
    try:
        _limit()
        answer = json.dumps(function(argument))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    print(answer)


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    for limit, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # the current limit is lower
            resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    if sys.platform == "linux":
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    else:
        threading.Thread(target=_watch_memory, daemon=True).start()


def _watch_memory() -> None:
    """Exit when memory exceeds the limit, on systems that do not enforce it."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    while resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit < MEMORY:
        time.sleep(0.01)
    os._exit(OUT_OF_MEMORY)


def _last(done: subprocess.CompletedProcess[bytes] | subprocess.TimeoutExpired) -> str:
    lines = (done.stderr or b"").decode(errors="replace").splitlines()
    return lines[-1] if lines else ""
