"""Train an experiment into a run folder: the function behind `xlmgen train`."""

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
    """Train into a new run folder, or continue the run in an existing one.

    Args:
        experiment: the resolved experiment.
        path: the run folder.
        console: shows progress.
        command: the command line, recorded in the run folder.

    Returns:
        0, or 128 plus the number of the signal that stopped the training. After a
        signal the state is saved, if the training had started.

    Raises:
        UserError: the parts do not fit together, the folder is not a run folder, a
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
        console.print(_where_it_stopped(path, saved=stop.saved))
        return 128 + stop.signum
    except Exception as error:
        if (full := no_room(error)) is None:
            raise
        last = max(checkpoints(path / "checkpoints"), default=None)
        continues = (
            "starts again from the beginning"
            if last is None
            else f"continues from step {last}"
        )
        raise UserError(
            f"cannot write {full.filename or path}: {full.strerror}",
            f"free disk space; then the same command {continues}",
            exit_code=1,
        ) from error
    console.print()
    console.print("next:")
    console.print(f"  xlmgen eval {path}")
    console.print(f"  xlmgen generate {path} --num 4 --trace")
    return 0


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the training lock of a run folder; without effect if there are no locks.

    Raises:
        UserError: another process is training this run.
    """

    def occupied(owner: str) -> bool:
        raise UserError(
            f"{path}: process {owner} is training this run",
            "wait until it ends or stop it, or start another run with --run-dir",
        )

    made = [folder for folder in path.absolute().parents if not folder.exists()]
    with suppress(OSError):  # writing the run raises a clearer error
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with hold(lock_of(path), occupied):
            yield
    finally:
        for folder in made:
            with suppress(OSError):  # not empty, because the run was created
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
            # A run folder keeps its own copy of the task: without this, a corrected
            # task would not be used.
            shutil.rmtree(run.path)
        raise


def _where_it_stopped(path: Path, *, saved: bool) -> str:
    found = max(checkpoints(path / "checkpoints"), default=None)
    if found is None:
        return "stopped before there was anything to save; run the same command again"
    if saved:
        return f"stopped at step {found} and saved; the same command continues"
    return f"stopped; the same command continues from step {found}"


def prepare(
    experiment: Experiment, path: Path, console: Console, command: Sequence[str]
) -> tuple[Run, bool]:
    """Create or reopen the run folder, after all checks that need no torch.

    Returns:
        the run, and whether its folder is new.

    Raises:
        UserError: see `train`.
    """
    source = family_folder(experiment)
    if is_new(path):
        task = load_task(experiment.task)
        check_family(experiment, source, task.packing)
        if is_behind_its_spec(source):
            console.print(
                f"note: {source / SPEC} has changed since its code was rendered; the "
                "run uses the code as it is; to render it again, run "
                f"`xlmgen new {source / SPEC}`",
                style="yellow",
            )
        try_own(task)
        return create(path, experiment, source, task, command), True
    earlier = Run.open(path).experiment.training
    run = reopen(path, experiment, command)
    check_family(experiment, run.family_folder)
    step = max(checkpoints(run.checkpoints), default=0)
    change = change_after(step, earlier, experiment.training)
    if change and step < experiment.training.max_steps:
        console.print(f"note: {change}", style="yellow")
    if not same_family(source, run.family_folder):
        console.print(
            f"note: {source} has changed since the run was created; the run continues "
            f"with its own copy in {run.family_folder}",
            style="yellow",
        )
    if not same_task(experiment.task, run.path / TASK):
        console.print(
            f"note: the task {experiment.task} has changed since the run was created; "
            f"the run continues with its own copy in {run.path / TASK}",
            style="yellow",
        )
    if note := changed_code(run):
        console.print(note, style="yellow")
    return run, False


def require_packages(names: Iterable[str]) -> None:
    """Refuse loggers whose package is not installed, before any other work.

    Raises:
        UserError: a package is missing; the message names the extra that installs it.
    """
    for name in names:
        if find_spec(name) is None:
            raise UserError(
                f"loggers: the package {name} is not installed",
                f"pip install 'xlmgen[{name}]', or leave {name} out of loggers",
            )


def wait_for_run(path: Path, experiment: Experiment, seconds: float = 3600) -> Run:
    """Wait until the first process has created the run folder.

    Training a tokenizer for it may take long. If the first process fails, the launcher
    ends the processes that wait.

    Args:
        path: the run folder.
        experiment: the same as that of the first process.
        seconds: time limit.

    Raises:
        UserError: the folder did not appear within the time limit.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_run(path):
            # Not read from the folder: its experiment.yaml may still be the old one.
            return Run(path, experiment)
        time.sleep(0.1)
    raise UserError(
        f"no run folder appeared at {path}", "read the output of the first process"
    )
