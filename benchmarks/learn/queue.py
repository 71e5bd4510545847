"""Runs some at a time, each the commands of its job one after the other."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from benchmarks.learn.hardware import hardware, record
from benchmarks.learn.jobs import THREADS, Command, Job
from xlmgen.errors import UserError

WAITING, DONE, FAILED, STOPPED = "waiting", "done", "failed", "stopped"
POLL = 0.5
"""Seconds between two looks at the processes."""


@dataclass
class Progress:
    """A job as far as it has come.

    Args:
        state: `waiting`, `done`, `failed`, `stopped`, or that of its command.
        reason: why it failed.
        next: number of the command to run next.
    """

    job: Job
    state: str = WAITING
    reason: str = ""
    next: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None


class Queue:
    """Works off jobs; one that fails does not end the others.

    Args:
        jobs: in their order.
        parallel: processes at a time.
        environment: of every process.
        on_change: called at every change of a state, and at every look.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        parallel: int,
        environment: Mapping[str, str],
        on_change: Callable[[Progress | None], None] = lambda progress: None,
    ) -> None:
        self.jobs = [Progress(job) for job in jobs]
        self._parallel = parallel
        self._environment = environment
        self._on_change = on_change

    @property
    def failed(self) -> list[Progress]:
        return [progress for progress in self.jobs if progress.state == FAILED]

    @property
    def was_stopped(self) -> bool:
        return any(progress.state == STOPPED for progress in self.jobs)

    def run(self) -> None:
        """Run all jobs; a signal stops the processes, which save first."""
        try:
            with signals_raise():
                while self._look():
                    time.sleep(POLL)
        except KeyboardInterrupt:
            self._stop()

    def _look(self) -> bool:
        """Begin what can begin; whether anything is still to do."""
        for progress in self.jobs:
            process = progress.process
            if process is not None and process.poll() is not None:
                progress.process = None
                if process.returncode == 0:
                    self._continue(progress)
                else:
                    self._fail(progress, last_line(progress.job))
        for progress in self.jobs:
            if sum(one.is_running for one in self.jobs) >= self._parallel:
                break
            if progress.state == WAITING:
                self._begin(progress)
        self._on_change(None)
        return any(one.is_running or one.state == WAITING for one in self.jobs)

    def _begin(self, progress: Progress) -> None:
        try:
            if not progress.job.is_done:
                progress.job.prepare()
            self._continue(progress)
        except UserError as error:
            self._fail(progress, str(error))

    def _continue(self, progress: Progress) -> None:
        """Start the next command of a job, or end the job."""
        for command in progress.job.commands[progress.next :]:
            progress.next += 1
            if not command.is_done():
                return self._start(progress, command)
        return self._set(progress, DONE)

    def _start(self, progress: Progress, command: Command) -> None:
        run = progress.job.run
        run.log.parent.mkdir(parents=True, exist_ok=True)
        if command.trains:
            record(run.hardware, hardware(THREADS, progress.job.torch))
        with run.log.open("ab") as log:
            log.write(f"+ {' '.join(command.arguments)}\n".encode())
            log.flush()
            progress.process = subprocess.Popen(
                command.arguments,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once: from `_stop`
            )
        self._set(progress, command.state)

    def _fail(self, progress: Progress, reason: str) -> None:
        progress.reason = reason
        self._set(progress, FAILED)

    def _set(self, progress: Progress, state: str) -> None:
        progress.state = state
        self._on_change(progress)

    def _stop(self) -> None:
        """Ask every process to save and end; a second signal does not wait."""
        running = [one for one in self.jobs if one.process is not None]
        for progress in running:
            self._signal(progress, signal.SIGTERM)
        try:
            with signals_raise():
                self._wait(running)
        except KeyboardInterrupt:
            for progress in running:
                self._signal(progress, signal.SIGKILL)
            self._wait(running)
        for progress in self.jobs:
            if progress.process is not None or progress.state == WAITING:
                progress.process = None
                self._set(progress, STOPPED)

    @staticmethod
    def _signal(progress: Progress, signum: signal.Signals) -> None:
        assert progress.process is not None
        progress.process.send_signal(signum)  # does nothing to one that has ended

    @staticmethod
    def _wait(running: Iterable[Progress]) -> None:
        for progress in running:
            assert progress.process is not None
            progress.process.wait()


@contextmanager
def signals_raise() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into KeyboardInterrupt."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    earlier = {signum: signal.signal(signum, interrupt) for signum in signals}
    try:
        yield
    finally:
        for signum, handler in earlier.items():
            signal.signal(signum, handler)


def last_line(job: Job) -> str:
    """The last line that a job's commands have printed."""
    text = job.run.log.read_text("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"
