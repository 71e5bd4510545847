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
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from xlmgen.errors import UserError

SECONDS = 2
"""CPU time, if the system counts it; a render takes a third of a second."""
WAITING, BUSY = 60, 5
"""Wall-clock seconds, and more per second of CPU time: the machine may be busy."""
MEMORY = 512 * 2**20
"""Bytes of address space on Linux, of used memory elsewhere; not on Windows."""
OUT_OF_MEMORY = 71  # exit code
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": ""}
"""No work needs a GPU, and the address space that its driver takes would count."""
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


def call(
    function: Callable[[Any], Any],
    argument: Any,
    *,
    seconds: int = SECONDS,
    preload: Sequence[str] = (),
) -> Any:
    """Call a module's function in a subprocess; within one, call it directly.

    Args:
        function: must return data for JSON.
        argument: must be picklable.
        seconds: of CPU time.
        preload: large modules that the function imports. They are imported before it is
            called, and neither their time nor their memory counts.

    Raises:
        OutOfBounds: it exceeded the limit of time or memory.
        UserError: the subprocess cannot be started.
    """
    if _inside:
        return function(argument)
    called = (function.__module__, function.__name__)
    request = pickle.dumps((seconds, preload, *called, argument))
    wall = WAITING + BUSY * seconds
    path = json.dumps([entry or os.getcwd() for entry in sys.path])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-X", "utf8", "-c", PROGRAM, path],
            input=request,
            capture_output=True,
            env={**os.environ, **ENVIRONMENT},
            timeout=wall,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OutOfBounds(f"it takes longer than {wall:g} s", _last(error)) from None
    except OSError as error:
        raise UserError(
            f"cannot start {sys.executable}: {error.strerror}", "free some memory"
        ) from error
    place = _last(done)
    if done.returncode == -getattr(signal, "SIGXCPU", 0) != 0:
        raise OutOfBounds(f"it takes longer than {seconds} s", place)
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
    seconds, preload, module, name, argument = pickle.load(sys.stdin.buffer)
    for large in preload:
        importlib.import_module(large)
    function = getattr(importlib.import_module(module), name)
    try:
        _limit(seconds)
        answer = json.dumps(function(argument))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    print(answer)


def _limit(seconds: int = SECONDS) -> None:
    """Limit further CPU time and memory; imported modules do not count."""
    try:
        import resource
    except ImportError:  # Windows
        return
    most = int(time.process_time()) + seconds
    for limit, value in ((resource.RLIMIT_CPU, most), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # the current limit is lower
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
    if sys.platform == "linux":
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, hard))
    else:
        threading.Thread(target=_watch_memory, args=(_used(),), daemon=True).start()


def _address_space() -> int:
    """Bytes of address space of this process on Linux; 0 where `/proc` is missing."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _used() -> int:
    """Peak memory of this process in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _watch_memory(before: int) -> None:
    """End the process when it has taken too much, where the system sets no limit."""
    while _used() < before + MEMORY:
        time.sleep(0.01)
    os._exit(OUT_OF_MEMORY)


def _last(done: subprocess.CompletedProcess[bytes] | subprocess.TimeoutExpired) -> str:
    lines = (done.stderr or b"").decode(errors="replace").splitlines()
    return lines[-1] if lines else ""
