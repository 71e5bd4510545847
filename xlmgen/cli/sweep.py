"""`xlmgen sweep`: train and evaluate many runs."""

from __future__ import annotations

import shlex
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.train import RUNS

INTERRUPTED = 130


class Cluster(StrEnum):
    """Where --submit runs jobs."""

    slurm = "slurm"
    local = "local"


def sweep(
    file: Annotated[
        Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep's YAML file.")
    ],
    parallel: Annotated[
        int, typer.Option(min=1, max=1024, help="Number of runs at a time.")
    ] = 1,
    only: Annotated[
        list[int] | None,
        typer.Option(
            min=0, help="Number of a run, from --dry-run; for job arrays of a cluster."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the runs and their commands, and stop."),
    ] = False,
    cluster: Annotated[
        Cluster | None,
        typer.Option(
            "--submit",
            help="Submit a job per run: slurm, or local to try it.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--job",
            metavar="KEY=VALUE",
            help="A setting of submitit for --submit, such as timeout_min=240.",
        ),
    ] = None,
) -> int:
    """Train and evaluate many runs: families, tasks, settings, seeds.

    Run folders are runs/SWEEP/RUN, each with a log beside it. Finished runs are
    skipped and stopped ones continued, so the same command goes on after Ctrl-C, a
    crash, or a longer list of seeds. A run that fails does not end the others.

    --submit needs submitit: pip install 'xlmgen[cluster]'.

    Exit code 0: all runs are done; 1: some failed; 2: the sweep has problems; 130:
    interrupted.

    Example: xlmgen sweep sweep.yaml --parallel 2
    """
    from xlmgen.errors import UserError
    from xlmgen.sweeps.jobs import environment, job
    from xlmgen.sweeps.queue import Queue
    from xlmgen.sweeps.submission import job_settings, submit
    from xlmgen.sweeps.sweep import read_sweep
    from xlmgen.sweeps.table import SweepTable
    from xlmgen.terminal.console import SafeConsole

    console = SafeConsole()
    runs = list(read_sweep(file, RUNS).runs)
    numbered = list(enumerate(runs))
    if only:
        if unknown := [number for number in only if number >= len(runs)]:
            raise UserError(
                f"--only {unknown[0]}: the sweep has {len(runs)} runs",
                f"numbers are 0 to {len(runs) - 1}; --dry-run lists them",
            )
        numbered = [numbered[number] for number in dict.fromkeys(only)]
    jobs = [job(run) for _, run in numbered]
    if dry_run:
        for (number, run), made in zip(numbered, jobs, strict=True):
            state = "done" if made.is_done else "to do"
            console.print(f"{number}  {run.path}  {state}")
            for command in made.commands:
                words = ["xlmgen", *command.arguments[3:]]
                console.print(f"   {shlex.join(words)}")
        return 0
    if cluster is not None:
        listed = zip(numbered, jobs, strict=True)
        numbers = [number for (number, _), made in listed if not made.is_done]
        folder = runs[0].path.parent / "jobs"
        given = job_settings(settings or ())
        for job_id in submit(file, numbers, folder, cluster, given):
            console.print(f"submitted {job_id}")
        console.print(f"{len(numbers)} of {len(jobs)} runs submitted; logs: {folder}")
        return 0
    table = SweepTable(console)
    queue = Queue(jobs, parallel, partial(environment, parallel), table.update)
    table.jobs = queue.jobs
    with table:
        queue.run()
    for progress in queue.failed:
        line = f"{progress.job.name} failed: {progress.reason}"
        console.print(f"{line}  (log: {progress.job.log})", style="red")
    if queue.was_stopped:
        console.print("stopped; the same command continues")
        return INTERRUPTED
    if queue.failed:
        return 1
    folder = runs[0].path.parent
    console.print("next:")
    console.print(f"  xlmgen compare {shlex.quote(str(folder))}/*/")
    console.print(f"  xlmgen report {shlex.quote(str(file))}")
    return 0
