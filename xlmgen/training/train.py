"""`xlmgen train` as a function: from an experiment to a trained run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from xlmgen.experiment.family_check import check_family, family_folder
from xlmgen.experiment.settings import Experiment
from xlmgen.run import Run, create, is_new, reopen, same_family
from xlmgen.tasks import load_task


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
        UserError: the parts do not fit together, or the folder holds something else.
    """
    run = prepare(experiment, path, console, command)

    from xlmgen.training.fit import fit  # imports torch and Lightning
    from xlmgen.training.interrupt import Interrupted

    try:
        fit(run, console)
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
) -> Run:
    """The run folder, with everything checked that needs no torch."""
    source = family_folder(experiment)
    if is_new(path):
        check_family(experiment, source)
        return create(path, experiment, source, load_task(experiment.task), command)
    run = reopen(path, experiment, command)
    check_family(experiment, run.family_folder)
    if not same_family(source, run.family_folder):
        console.print(
            f"note: {source} has changed since; the run goes on with its own copy in "
            f"{run.family_folder}",
            style="yellow",
        )
    return run
