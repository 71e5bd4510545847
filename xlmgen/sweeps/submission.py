"""Runs of a sweep as jobs of a cluster, through submitit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlmgen.errors import UserError
from xlmgen.experiment.overrides import parse_override
from xlmgen.sweeps.lifeline import lifeline

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission


class RunOfSweep:
    """A job: one run of a sweep, in a process of its own.

    submitit sends a signal before the job's time limit and calls `checkpoint`; the job
    then returns to the cluster's queue and continues the run.

    Args:
        file: the sweep's YAML file.
        number: number of the run.
    """

    def __init__(self, file: Path, number: int) -> None:
        self.file, self.number = file, number
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Train and evaluate the run.

        Raises:
            CalledProcessError: it failed.
        """
        program = [sys.executable, "-m", "xlmgen", "sweep", str(self.file)]
        command = [*program, "--only", str(self.number)]
        self._process = subprocess.Popen(command, env={**os.environ, **lifeline()})
        if code := self._process.wait():
            raise subprocess.CalledProcessError(code, command)

    def checkpoint(self) -> DelayedSubmission:
        """Let the run save and end, and return the job that continues it."""
        from submitit.helpers import DelayedSubmission

        process = self._process
        if process is not None and process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)
            # A signal's handler calls this while `__call__` waits, which holds the lock
            # of Popen.wait.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(RunOfSweep(self.file, self.number))


def submit(
    file: Path,
    numbers: Sequence[int],
    folder: Path,
    cluster: str,
    settings: Mapping[str, Any],
) -> list[str]:
    """Submit runs as one job array.

    Args:
        file: the sweep's YAML file.
        numbers: numbers of the runs.
        folder: submitit writes its scripts and the output of the jobs here.
        cluster: `slurm`, or `local` for processes of this machine.
        settings: of submitit, such as `timeout_min` and `slurm_partition`.

    Returns:
        The ids of the jobs.

    Raises:
        UserError: submitit or the cluster's commands are missing, or it refuses a
            setting.
    """
    if find_spec("submitit") is None:
        raise UserError(
            "--submit needs the package submitit", "pip install 'xlmgen[cluster]'"
        )
    from submitit import AutoExecutor

    if not numbers:
        return []
    try:
        executor = AutoExecutor(folder, cluster=cluster)
        executor.update_parameters(name=file.stem, **settings)
        with executor.batch():
            jobs = [executor.submit(RunOfSweep(file, number)) for number in numbers]
    except (RuntimeError, ValueError, NameError, AssertionError) as error:
        raise UserError(f"--submit {cluster}: {error}") from None
    return [job.job_id for job in jobs]


def job_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` settings of submitit.

    Raises:
        UserError: one is not of this form.
    """
    found = {}
    for text in texts:
        override = parse_override(text)
        found[".".join(override.path)] = override.value
    return found
