"""Work on what somebody else wrote, in a process bounded in time and memory.

Code of Python's own that is written in C, such as the repetition of a text or a search
for a pattern, can be ended from outside of its process only.
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
"""Of processor time, where the system counts it; a render takes a third of one."""
WALL = 60.0
"""Seconds in all; more, since the machine may be busy."""
MEMORY = 512 * 2**20
"""Bytes: of address space on Linux, in use elsewhere. Windows has no such bound."""
OUT_OF_MEMORY = 71  # exit code
_inside = False
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from xlmgen.io.bounded import main; main()"
)


class OutOfBounds(Exception):
    """The work took too much; the message says of what.

    Args:
        place: what `report` said last.
    """

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


def call(function: Callable[[Any], Any], argument: Any) -> Any:
    """Call a function of a module in a process of its own.

    In such a process itself, the function is simply called.

    Args:
        function: returns what JSON can hold.
        argument: what pickle can hold.

    Raises:
        OutOfBounds: it took too much time or memory.
        UserError: no process can be started.
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
    """Say, in the process, what is worked on now."""
    print(place, file=sys.stderr, flush=True)


def main() -> None:
    """Do one piece of work: the request comes in, the answer goes out."""
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
        with suppress(ValueError, OSError):  # less is allowed already
            resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    if sys.platform == "linux":
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    else:
        threading.Thread(target=_watch_memory, daemon=True).start()


def _watch_memory() -> None:
    """End the process when it has taken too much, where the system sets no limit."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    while resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit < MEMORY:
        time.sleep(0.01)
    os._exit(OUT_OF_MEMORY)


def _last(done: subprocess.CompletedProcess[bytes] | subprocess.TimeoutExpired) -> str:
    lines = (done.stderr or b"").decode(errors="replace").splitlines()
    return lines[-1] if lines else ""
