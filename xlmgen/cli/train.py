"""`xlmgen train`: train an experiment."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.resolve import EXPERIMENT, OVERRIDES

RUNS = Path("runs")


class Debug(StrEnum):
    """Short runs that test and profile an experiment."""

    overfit = "overfit"
    smoke = "smoke"
    profile = "profile"


def train(
    experiment: EXPERIMENT,
    overrides: OVERRIDES = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="The run folder; runs/NAME by default. A run that is there continues."
        ),
    ] = None,
    debug: Annotated[
        Debug | None,
        typer.Option(
            help="overfit: learn one batch. smoke: two steps of everything. "
            "profile: where the time of a step goes."
        ),
    ] = None,
) -> int:
    """Train a family on a task, or continue a stopped run.

    Ctrl-C saves a checkpoint first.

    Example: xlmgen train mdlm/star_tiny training.seed=1
    """
    from xlmgen.distributed.launch import check_alone
    from xlmgen.experiment import resolve
    from xlmgen.terminal.console import SafeConsole
    from xlmgen.training import debugging
    from xlmgen.training.train import train as run_training

    console = SafeConsole()
    given = list(overrides or ())
    if debug is not None:
        check_alone(f"--debug {debug.value}")
    if debug is Debug.overfit:
        return debugging.overfit(experiment, given, console)
    if debug is Debug.profile:
        return debugging.profile(experiment, given, console)
    if debug is Debug.smoke:
        run_dir, given = debugging.smoke(given)
    resolved = resolve(experiment, given)
    folder = run_dir or RUNS / resolved.name
    command = ["xlmgen", *sys.argv[1:]]
    if code := run_training(resolved, folder, console, command):
        raise SystemExit(code)  # it has printed the reason
    return 0
