"""`xlmgen update`: render families again and merge edits."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import completion, printing
from xlmgen.cli.flags import Diff, DryRun
from xlmgen.cli.new import FAMILIES, show_diffs, show_files
from xlmgen.errors import UserError
from xlmgen.io.files import real_path
from xlmgen.io.merge import marked_lines
from xlmgen.render.apply import refuse, write
from xlmgen.render.changes import Change, State
from xlmgen.render.drift import abandoned, conflicts
from xlmgen.render.plan import SPEC
from xlmgen.render.transaction import exclusive
from xlmgen.render.update import updates
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.family import read_family
from xlmgen.spec.messages import similar_path


def update(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FAMILY_DIR...",
            help="Folders of rendered families.",
            autocompletion=completion.families,
        ),
    ],
    dry_run: DryRun = False,
    diff: Diff = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Write deleted files again.")
    ] = False,
) -> int:
    """Render families again and merge the edits made to their files.

    A three-way merge of the last render (from family.lock), the current file, and the
    new render of the current family.yaml. Where an edit and the new render change the
    same lines, both versions are written between conflict markers.

    Exit code 0: merged; 1: conflicts, or files that need a decision.

    Example: xlmgen update families/my_family --diff
    """
    code = 0
    for folder in folders:
        try:
            done = update_family(folder, dry_run=dry_run, diff=diff, restore=restore)
        except UserError as error:
            printing.print_error(error)
            done = error.exit_code
        code = max(code, done)
    return code


def update_family(folder: Path, *, dry_run: bool, diff: bool, restore: bool) -> int:
    """Update one family's folder; with `dry_run` or `diff` only report.

    Raises:
        UserError: the folder has no render or spec, or cannot be written.
    """
    from xlmgen.render import render

    family = read_family(spec_file(folder))
    if family.name != real_path(folder).name:
        raise UserError(
            f"{folder / SPEC} names the family '{family.name}', its folder does not",
            "rename one of them: a family is imported by its folder's name",
        )
    rendered = render(family)
    if dry_run or diff:
        planned = updates(folder, rendered, restore=restore)
        if diff:
            show_diffs(folder, planned)
        else:
            show_files(folder, planned, "would be written to")
        refuse(folder, planned)
    else:
        with exclusive(folder):
            planned = updates(folder, rendered, restore=restore)
            write(folder, planned)
        show_files(folder, planned, "written to")
    problems = decisions(folder, planned)
    sys.stdout.flush()
    printing.print_problems(problems, file=sys.stderr)
    return 1 if problems else 0


def spec_file(folder: Path) -> Path:
    """Return the spec file of a family's folder.

    Raises:
        UserError: it is not the folder of a rendered family.
    """
    if folder.name == SPEC and folder.is_file():
        raise UserError(f"{folder} is a file", f"name its folder: {folder.parent}")
    if not folder.is_dir():
        fix = similar_path(folder, folder=True)
        if (FAMILIES / folder).is_dir():
            fix = f"did you mean '{FAMILIES / folder}'?"
        raise UserError(f"there is no folder {folder}", fix)
    if not (folder / SPEC).exists():
        raise UserError(f"{folder} has no {SPEC}", "name the folder of one family")
    return folder / SPEC


def decisions(folder: Path, planned: Sequence[Change]) -> list[Diagnostic]:
    """Return the files that the user must decide on: conflicts and orphaned edits."""
    problems: list[Diagnostic] = []
    for change in planned:
        if change.state is State.CONFLICT:
            problems += conflicts(folder, change.path, marked_lines(change.new or ""))
        elif change.state is State.LEFT:
            problems.append(abandoned(folder, change))
    return sorted(problems)
