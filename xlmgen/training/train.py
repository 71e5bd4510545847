"""`xlmgen train` as a function: from an experiment to a trained run folder."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from xlmgen.errors import UserError
from xlmgen.experiment.family_check import check_family, family_folder
from xlmgen.experiment.settings import Experiment
from xlmgen.registry import SPEC
from xlmgen.run import (
    Run,
    create,
    is_behind_its_spec,
    is_new,
    is_run,
    reopen,
    same_family,
)
from xlmgen.tasks import load_task
from xlmgen.training.checkpoint_folder import checkpoints
from xlmgen.training.schedule import change_after


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
        has been saved then.

    Raises:
        UserError: the parts do not fit together, the folder holds something else, or a
            package is missing.
    """
    require_packages(experiment.trackers)
    rank = process_rank()
    if rank:
        console = Console(quiet=True)
        run, new = wait_for_run(path), False
    else:
        run, new = prepare(experiment, path, console, command)

    from xlmgen.training.fit import Fit  # imports torch and Lightning
    from xlmgen.training.interrupt import Interrupted

    try:
        fit = Fit.prepare(run, console)
    except UserError:
        if new:
            shutil.rmtree(run.path)  # it is ours, and nothing began
        raise
    try:
        fit.go(console)
    except Interrupted as stop:
        step, _ = run.checkpoint("last")
        console.print(f"stopped at step {step} and saved; the same command continues")
        return 128 + stop.signum
    console.print(
        f"\nnext:\n  xlmgen eval {path}\n  xlmgen generate {path} --num 4 --trace"
    )
    return 0


def prepare(
    experiment: Experiment, path: Path, console: Console, command: Sequence[str]
) -> tuple[Run, bool]:
    """The run folder and whether it is new; all is checked that needs no torch."""
    source = family_folder(experiment)
    if is_new(path):
        check_family(experiment, source)
        if is_behind_its_spec(source):
            console.print(
                f"note: {source / SPEC} has changed since its code was rendered, and "
                f"the code is what runs; `xlmgen new {source / SPEC}` renders it anew",
                style="yellow",
                soft_wrap=True,
            )
        task = load_task(experiment.task)
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


def process_rank() -> int:
    """Which of the processes of a run this is, as its launcher says; 0 when alone."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return 0


def wait_for_run(path: Path, seconds: float = 300) -> Run:
    """The run folder that the first process prepares.

    Raises:
        UserError: it did not.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_run(path):
            return Run.open(path)
        time.sleep(0.1)
    raise UserError(
        f"no run folder appeared at {path}", "see what the first process says"
    )
