"""Sandbox for model-written programs.

Every program gets a process of its own, which sandboxes itself before it reads the code
(see `xlmgen.evaluation.confine`), an empty environment and an empty folder. It is
killed when its time is up. On a system where a process cannot be sandboxed, no program
is run.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xlmgen.errors import UserError

PROGRAM = Path(__file__).with_name("run_program.py")
UNCONFINED = "XLMGEN_UNCONFINED"
AT_ONCE = 8  # most processes at a time
LONGEST_ANSWER = 16384  # most bytes of the report of a process
POLL = 0.05  # seconds between polls of a silent process


@dataclass(frozen=True)
class Limits:
    """Limits of one program.

    Args:
        cpu: seconds of CPU time.
        wall: seconds of wall-clock time; larger, since the machine may be busy.
        memory: bytes of address space.
        output: bytes of standard output to keep; the rest is discarded.
    """

    cpu: int = 2
    wall: float = 15.0
    memory: int = 512 * 2**20
    output: int = 65536


@dataclass(frozen=True)
class Outcome:
    """Result of a program.

    Args:
        status: `returned`; `raised` an exception; or `stopped` by a limit, by a signal
            or by an exit of its own.
        value: `str` of the called function's return value.
        type: name of its type, such as `int`.
        error: the exception, or how the process ended.
        output: its standard output, truncated.
    """

    status: Literal["returned", "raised", "stopped"]
    value: str | None = None
    type: str = ""
    error: str = ""
    output: str = ""


def run_programs(
    codes: Sequence[str], calls: Sequence[str | None], limits: Limits | None = None
) -> list[Outcome]:
    """Run programs in parallel, and call a function of each without arguments."""
    limits = limits or Limits()
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(run_program, codes, calls, [limits] * len(codes)))


def run_program(
    code: str, call: str | None = None, limits: Limits | None = None
) -> Outcome:
    """Run one program; returns within about `limits.wall` seconds, whatever it does.

    Raises:
        UserError: this system cannot sandbox a process.
    """
    limits = limits or Limits()
    if os.name != "posix":
        raise UserError(
            "model-written programs are not run on this system",
            "evaluate on Linux",
        )
    request = {
        "code": code,
        "call": call,
        "seconds": limits.cpu,
        "memory": limits.memory,
        "confined": os.environ.get(UNCONFINED) != "1",
    }
    with contextlib.ExitStack() as stack:
        stdin = stack.enter_context(tempfile.TemporaryFile())
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", str(PROGRAM), str(writing)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd=folder,
                pass_fds=(writing,),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        assert process.stdout is not None
        stack.enter_context(process.stdout)
        capacity = {reading: LONGEST_ANSWER, process.stdout.fileno(): limits.output}
        try:
            answer, output = _listen(process, capacity, limits.wall)
        finally:
            _kill(process)
    return _outcome(answer, output.decode(errors="replace"), process.returncode)


def refuse(reason: str) -> UserError:
    """The error for a system on which a process cannot be sandboxed."""
    return UserError(
        f"model-written programs are not run here: {reason}",
        f"set {UNCONFINED}=1 to run them with limits of time and memory only; they can "
        "then do anything that you can",
    )


def _environment() -> dict[str, str]:
    """An empty environment, but for the library path of a relocated interpreter."""
    path = os.environ.get("LD_LIBRARY_PATH")
    return {} if path is None else {"LD_LIBRARY_PATH": path}


def _listen(
    process: subprocess.Popen[bytes], capacity: dict[int, int], seconds: float
) -> list[bytes]:
    """Read pipes until the process ends or its time is up.

    Args:
        capacity: bytes to keep of each pipe; the rest is read and discarded.
    """
    kept = {pipe: bytearray() for pipe in capacity}
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for pipe in capacity:
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            ended = _ended(process)
            ready = selector.select(0 if ended else POLL)
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                kept[key.fd] += chunk[: capacity[key.fd] - len(kept[key.fd])]
                if not chunk:
                    selector.unregister(key.fd)
            if ended and not ready:  # another process may still have the pipes open
                break
        while not _ended(process) and time.monotonic() < deadline:
            time.sleep(POLL)
    return [bytes(kept[pipe]) for pipe in capacity]


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended; it is not reaped, so its id is not reused yet."""
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, how) is not None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its group with SIGKILL, which they cannot catch."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outcome(answer: bytes, output: str, code: int) -> Outcome:
    """Result of a process from its report, standard output and exit code."""
    start, _, report = answer.partition(b"\n")
    if start.startswith(b"refused"):
        reason = start.removeprefix(b"refused ").decode(errors="replace")
        raise refuse(reason)
    if start != b"ready":
        raise UserError(
            f"model-written programs are not run here: {sys.executable} did not start "
            f"(exit code {code})",
            "check that there is free memory",
        )
    try:
        found = json.loads(report)
        value, kind, error = (found.get(key) for key in ("value", "type", "error"))
    except (ValueError, AttributeError, RecursionError):
        return Outcome("stopped", error=_ending(code), output=output)
    if error is not None:
        return Outcome("raised", error=str(error), output=output)
    return Outcome("returned", str(value), str(kind), output=output)


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended itself with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it was ended by signal {-code}"
