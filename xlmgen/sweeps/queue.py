"""A queue of jobs: some run at a time, each as one process after the other."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar

from xlmgen.errors import UserError
from xlmgen.sweeps.lifeline import lifeline

WAITING, BUSY, DONE = "waiting", "busy", "done"
FAILED, STOPPED = "failed", "stopped"
POLL = 0.5
"""Seconds between two looks at the processes."""
TAIL = 16_384
"""Bytes at the end of a log that are searched for its last line."""
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Command:
    """One process of a job.

    Args:
        state: shown while it runs, such as `training`.
        arguments: the program and its arguments.
        is_done: whether it has nothing to do.
        before: called before the process starts.
        after: called after it has ended without an error.
    """

    state: str
    arguments: Sequence[str]
    is_done: Callable[[], bool]
    before: Callable[[], None] = _nothing
    after: Callable[[], None] = _nothing


@dataclass(frozen=True, kw_only=True)
class Job:
    """Commands that run in their order.

    Args:
        name: shown to people.
        log: file that the output of the commands is appended to.
        commands: in their order.
        prepare: called before the first of them.
        is_busy: whether another process works on the same files; the job then waits.
    """

    name: str
    log: Path
    commands: Sequence[Command]
    prepare: Callable[[], None] = _nothing
    is_busy: Callable[[], bool] = lambda: False

    @property
    def is_done(self) -> bool:
        return all(command.is_done() for command in self.commands)


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass
class Progress(Generic[AnyJob]):
    """Progress of a job.

    Args:
        state: `waiting`, `busy`, `done`, `failed`, `stopped`, or that of its command.
        reason: why it failed.
        next: index of the command to run next.
        slot: number of the worker, from 0.
    """

    job: AnyJob
    state: str = WAITING
    reason: str = ""
    next: int = 0
    slot: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None

    @property
    def is_open(self) -> bool:
        """Whether the job has not begun yet."""
        return self.state in (WAITING, BUSY)


class Queue(Generic[AnyJob]):
    """Run jobs in parallel; a job that fails does not end the others.

    Args:
        jobs: in their order.
        parallel: number of workers.
        environment: environment variables of a worker's processes, by its number.
        on_change: called with a job whose state has changed, and with None at every
            look at the processes.
    """

    def __init__(
        self,
        jobs: Iterable[AnyJob],
        parallel: int,
        environment: Callable[[int], Mapping[str, str]],
        on_change: Callable[[Progress[AnyJob] | None], None] = lambda progress: None,
    ) -> None:
        self.jobs = [Progress(job) for job in jobs]
        self._parallel = parallel
        self._environment = environment
        self._on_change = on_change

    @property
    def failed(self) -> list[Progress[AnyJob]]:
        return [progress for progress in self.jobs if progress.state == FAILED]

    @property
    def was_stopped(self) -> bool:
        return any(progress.state == STOPPED for progress in self.jobs)

    def run(self) -> None:
        """Run all jobs; a signal stops the processes, which save first."""
        try:
            with _signals_raise():
                while self._look():
                    time.sleep(POLL)
        except KeyboardInterrupt:
            self._stop()

    def _look(self) -> bool:
        """Start what can start; whether anything is left to do."""
        for progress in self.jobs:
            process = progress.process
            if process is not None and process.poll() is not None:
                progress.process = None
                if process.returncode == 0:
                    progress.job.commands[progress.next - 1].after()
                    self._continue(progress)
                else:
                    self._fail(progress, last_line(progress.job.log))
        for progress in self.jobs:
            slots = {one.slot for one in self.jobs if one.is_running}
            free = next((n for n in range(self._parallel) if n not in slots), None)
            if free is None:
                break
            if progress.is_open:
                progress.slot = free
                self._begin(progress)
        self._on_change(None)
        return any(one.is_running or one.is_open for one in self.jobs)

    def _begin(self, progress: Progress[AnyJob]) -> None:
        job = progress.job
        try:
            if job.is_busy():
                if progress.state != BUSY:
                    self._set(progress, BUSY)
                return
            if not job.is_done:
                job.prepare()
            self._continue(progress)
        except UserError as error:
            self._fail(progress, str(error))

    def _continue(self, progress: Progress[AnyJob]) -> None:
        """Start the next command of a job, or end the job."""
        try:
            for command in progress.job.commands[progress.next :]:
                progress.next += 1
                if not command.is_done():
                    return self._start(progress, command)
        except UserError as error:
            return self._fail(progress, str(error))
        return self._set(progress, DONE)

    def _start(self, progress: Progress[AnyJob], command: Command) -> None:
        job = progress.job
        job.log.parent.mkdir(parents=True, exist_ok=True)
        command.before()
        with job.log.open("ab") as log:
            log.write(f"+ {shlex.join(command.arguments)}\n".encode())
            log.flush()
            progress.process = subprocess.Popen(
                command.arguments,
                env={**self._environment(progress.slot), **lifeline()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once: from `_stop`
            )
        self._set(progress, command.state)

    def _fail(self, progress: Progress[AnyJob], reason: str) -> None:
        progress.reason = reason
        self._set(progress, FAILED)

    def _set(self, progress: Progress[AnyJob], state: str) -> None:
        progress.state = state
        self._on_change(progress)

    def _stop(self) -> None:
        """Ask every process to save and end; a second signal does not wait."""
        running = [one for one in self.jobs if one.is_running]
        for progress in running:
            self._signal(progress, signal.SIGTERM)
        try:
            with _signals_raise():
                self._wait(running)
        except KeyboardInterrupt:
            for progress in running:
                self._signal(progress, signal.SIGKILL)
            self._wait(running)
        for progress in self.jobs:
            if progress.is_running or progress.is_open:
                progress.process = None
                self._set(progress, STOPPED)

    @staticmethod
    def _signal(progress: Progress[AnyJob], signum: signal.Signals) -> None:
        assert progress.process is not None
        progress.process.send_signal(signum)  # has no effect on an ended process

    @staticmethod
    def _wait(running: Iterable[Progress[AnyJob]]) -> None:
        for progress in running:
            assert progress.process is not None
            progress.process.wait()


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into KeyboardInterrupt."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = {signum: signal.signal(signum, interrupt) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in earlier.items():
            signal.signal(signum, handler)


def last_line(log: Path) -> str:
    """The last line in a log that is not empty."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"
