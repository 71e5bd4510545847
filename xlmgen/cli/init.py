"""`xlmgen init`: write a new project that can be checked, tested and trained."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.flags import DryRun
from xlmgen.cli.new import show_files
from xlmgen.io.files import real_path
from xlmgen.render import new_project as project
from xlmgen.render.changes import changes
from xlmgen.render.starters import NAME, starters
from xlmgen.terminal.output import say


def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of the project; the current folder by default.",
            show_default=False,
        ),
    ] = Path(),
    name: Annotated[str, typer.Option(help="Name of its family.")] = NAME,
    dry_run: DryRun = False,
) -> int:
    """Write a new project: a family, its render, a task, an experiment.

    Also writes a workflow that checks and reviews pull requests, schemas and settings
    for editors, and scripts for several GPUs and for Slurm. If one of the files exists,
    nothing is written.

    Example: xlmgen init my_project --name my_family
    """
    files = starters(name)
    if dry_run:
        planned = changes(folder, files)
        show_files(folder, planned, "would be written to")
        project.refuse(folder, planned)
        return 0
    planned = project.create(folder, files)
    show_files(folder, planned, "written to")
    say()
    say("next:")
    if real_path(folder) != Path.cwd():
        say(f"  cd {shlex.quote(str(folder))}")
    say("  xlmgen check --strict .")
    say("  pytest")
    say("  xlmgen train experiments/graphs.yaml")
    return 0
