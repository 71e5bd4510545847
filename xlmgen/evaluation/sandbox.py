"""Programs that a model wrote, run where they can do no harm.

Every program gets a process of its own, which shuts itself in before it looks at the
code (see `xlmgen.evaluation.confine`), an empty environment and an empty folder. It is
killed when its time is over. On a system where a process cannot be shut in, nothing is
run.
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
AT_ONCE = 8  # processes
LONGEST_ANSWER = 16384  # bytes of what the process reports
POLL = 0.05  # seconds between looks at a process that says nothing


@dataclass(frozen=True)
class Limits:
    """What one program may use.

    Args:
        cpu: seconds of processor time.
        wall: seconds in all; more, since the machine may be busy.
        memory: bytes of address space.
        output: bytes of what it prints that are kept; the rest is thrown away.
    """

    cpu: int = 2
    wall: float = 15.0
    memory: int = 512 * 2**20
    output: int = 65536


@dataclass(frozen=True)
class Outcome:
    """What a program came to.

    Args:
        status: `returned`; `raised` an exception; `stopped` by a limit or a signal, or
            it ended itself.
        value: `str` of what the called function returned.
        type: the name of its type, such as `int`.
        error: the exception, or how the process ended.
        output: what it printed, cut.
    """

    status: Literal["returned", "raised", "stopped"]
    value: str | None = None
    type: str = ""
    error: str = ""
    output: str = ""


def run_programs(
    codes: Sequence[str], calls: Sequence[str | None], limits: Limits | None = None
) -> list[Outcome]:
    """Run programs, some at a time, and call a function of each without arguments."""
    limits = limits or Limits()
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(run_program, codes, calls, [limits] * len(codes)))


def run_program(
    code: str, call: str | None = None, limits: Limits | None = None
) -> Outcome:
    """Run one program. Whatever it does, this returns within `limits.wall` or so.

    Raises:
        UserError: this system cannot shut a process in.
    """
    limits = limits or Limits()
    if os.name != "posix":
        raise UserError(
            "what a model wrote is not run on this system",
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
        asked = stack.enter_context(tempfile.TemporaryFile())
        asked.write(json.dumps(request).encode())
        asked.seek(0)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", str(PROGRAM), str(writing)],
                stdin=asked,
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
        room = {reading: LONGEST_ANSWER, process.stdout.fileno(): limits.output}
        try:
            answer, output = _listen(process, room, limits.wall)
        finally:
            _kill(process)
    return _outcome(answer, output.decode(errors="replace"), process.returncode)


def refuse(reason: str) -> UserError:
    """What to raise where a process cannot be shut in."""
    return UserError(
        f"what a model wrote is not run here: {reason}",
        f"set {UNCONFINED}=1 to run it with limits of time and memory only, where it "
        "may do anything that you may",
    )


def _environment() -> dict[str, str]:
    """Nothing but where an interpreter of an unusual place finds its libraries."""
    path = os.environ.get("LD_LIBRARY_PATH")
    return {} if path is None else {"LD_LIBRARY_PATH": path}


def _listen(
    process: subprocess.Popen[bytes], room: dict[int, int], seconds: float
) -> list[bytes]:
    """What comes out of some pipes until the process ends or its time is over.

    Args:
        room: bytes to keep of each; the rest is read and thrown away.
    """
    kept = {pipe: bytearray() for pipe in room}
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for pipe in room:
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            ended = _ended(process)
            ready = selector.select(0 if ended else POLL)
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                kept[key.fd] += chunk[: room[key.fd] - len(kept[key.fd])]
                if not chunk:
                    selector.unregister(key.fd)
            if ended and not ready:  # another process may still hold the pipes
                break
        while not _ended(process) and time.monotonic() < deadline:
            time.sleep(POLL)
    return [bytes(kept[pipe]) for pipe in room]


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended; its number stays taken until `_kill`."""
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, how) is not None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group, whatever signals they catch."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outcome(answer: bytes, output: str, code: int) -> Outcome:
    start, _, report = answer.partition(b"\n")
    if start.startswith(b"refused"):
        reason = start.removeprefix(b"refused ").decode(errors="replace")
        raise refuse(reason)
    if start != b"ready":
        raise UserError(
            f"what a model wrote is not run here: {sys.executable} did not start (exit "
            f"code {code})",
            "look whether the memory is used up",
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
