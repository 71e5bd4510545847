"""`xlmgen train` as a function: from an experiment to a trained run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from xlmgen.data.task import load_task
from xlmgen.distributed.launch import check_cores, check_processes, is_first
from xlmgen.errors import UserError
from xlmgen.evaluation.scores import try_own
from xlmgen.experiment.family_check import check_family, family_folder
from xlmgen.experiment.settings import Experiment
from xlmgen.io.files import no_room
from xlmgen.io.locks import hold
from xlmgen.registry import SPEC
from xlmgen.runs.checkpoint_folder import checkpoints
from xlmgen.runs.folder import create, is_new, reopen
from xlmgen.runs.provenance import (
    changed_code,
    is_behind_its_spec,
    same_family,
    same_task,
)
from xlmgen.runs.run import TASK, Run, is_run, lock_of
from xlmgen.terminal.console import SafeConsole
from xlmgen.training.schedule import change_after
from xlmgen.training.signals import Interrupted, stopped_by_signals


def train(
    experiment: Experiment, path: Path, console: Console, command: Sequence[str] = ()
) -> int:
    """Train into a run folder, or continue the run that is there.

    Args:
        experiment: resolved.
        path: the run folder.
        console: where progress is shown.
        command: the command line, for the record.

    Returns:
        0, or 128 plus the number of the signal that stopped the training; its state
        has been saved then, if it had begun.

    Raises:
        UserError: the parts do not fit together, the folder holds something else, a
            package is missing, or the disk is full.
    """
    require_packages(experiment.trackers)
    check_processes(experiment.training)
    if experiment.training.accelerator == "cpu":
        check_cores(experiment.training)
    if not is_first():
        console = SafeConsole(quiet=True)
    try:
        with stopped_by_signals(), alone(path) if is_first() else nullcontext():
            _train(experiment, path, console, command)
    except Interrupted as stop:
        console.print(_where_it_stopped(path, saved=stop.saved), soft_wrap=True)
        return 128 + stop.signum
    except Exception as error:
        if (full := no_room(error)) is None:
            raise
        last = max(checkpoints(path / "checkpoints"), default=None)
        continues = "begins anew" if last is None else f"continues from step {last}"
        raise UserError(
            f"cannot write {full.filename or path}: {full.strerror}",
            f"make room; then the same command {continues}",
            exit_code=1,
        ) from error
    console.print()
    console.print("next:")
    console.print(f"  xlmgen eval {path}", soft_wrap=True)
    console.print(f"  xlmgen generate {path} --num 4 --trace", soft_wrap=True)
    return 0


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other trainings away from a run folder, where the system has locks.

    Raises:
        UserError: one is at it.
    """

    def occupied(owner: str) -> bool:
        raise UserError(
            f"{path}: process {owner} is training this run",
            "wait until it ends or stop it, or begin another run with --run-dir",
        )

    made = [folder for folder in path.absolute().parents if not folder.exists()]
    with suppress(OSError):  # who writes the run says it better
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with hold(lock_of(path), occupied):
            yield
    finally:
        for folder in made:  # of a run that could not begin
            with suppress(OSError):
                folder.rmdir()


def _train(
    experiment: Experiment, path: Path, console: Console, command: Sequence[str]
) -> None:
    if is_first():
        run, new = prepare(experiment, path, console, command)
    else:
        run, new = wait_for_run(path, experiment), False

    from xlmgen.training.fit import Fit  # imports torch and Lightning

    try:
        Fit.prepare(run, console).go(console)
    except UserError:
        if new and not run.has_begun:
            shutil.rmtree(run.path)  # else the mended task would meet the old copy
        raise


def _where_it_stopped(path: Path, *, saved: bool) -> str:
    found = max(checkpoints(path / "checkpoints"), default=None)
    if found is None:
        return "stopped; nothing was there to save; the same command begins"
    if saved:
        return f"stopped at step {found} and saved; the same command continues"
    return f"stopped; the same command continues from step {found}"


def prepare(
    experiment: Experiment, path: Path, console: Console, command: Sequence[str]
) -> tuple[Run, bool]:
    """The run folder and whether it is new; all is checked that needs no torch."""
    source = family_folder(experiment)
    if is_new(path):
        task = load_task(experiment.task)
        check_family(experiment, source, task.packing)
        if is_behind_its_spec(source):
            console.print(
                f"note: {source / SPEC} has changed since its code was rendered, and "
                f"the code is what runs; `xlmgen new {source / SPEC}` renders it anew",
                style="yellow",
                soft_wrap=True,
            )
        try_own(task)
        return create(path, experiment, source, task, command), True
    earlier = Run.open(path).experiment.training
    run = reopen(path, experiment, command)
    check_family(experiment, run.family_folder)
    step = max(checkpoints(run.checkpoints), default=0)
    change = change_after(step, earlier, experiment.training)
    if change and step < experiment.training.max_steps:
        console.print(f"note: {change}", style="yellow", soft_wrap=True)
    if not same_family(source, run.family_folder):
        console.print(
            f"note: {source} has changed since; the run goes on with its own copy in "
            f"{run.family_folder}",
            style="yellow",
            soft_wrap=True,
        )
    if not same_task(experiment.task, run.path / TASK):
        console.print(
            f"note: the task {experiment.task} has changed since; the run goes on with "
            f"its own copy in {run.path / TASK}",
            style="yellow",
            soft_wrap=True,
        )
    if note := changed_code(run):
        console.print(note, style="yellow", soft_wrap=True)
    return run, False


def require_packages(names: Iterable[str]) -> None:
    """Refuse loggers whose package is not there, before anything begins.

    Raises:
        UserError: names the extra that installs it.
    """
    for name in names:
        if find_spec(name) is None:
            raise UserError(
                f"loggers: the package {name} is not installed",
                f"pip install 'xlmgen[{name}]', or leave {name} out of loggers",
            )


def wait_for_run(path: Path, experiment: Experiment, seconds: float = 3600) -> Run:
    """The run folder that the first process prepares, with the same experiment.

    That may take long, where a tokenizer is learned for it. Where it fails, launchers
    end the processes that wait.

    Raises:
        UserError: it did not.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_run(path):
            return Run(path, experiment)  # its file may be of before
        time.sleep(0.1)
    raise UserError(
        f"no run folder appeared at {path}", "see what the first process says"
    )
