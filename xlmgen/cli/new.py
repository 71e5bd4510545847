"""`xlmgen new`: render a family's spec into a package."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import printing
from xlmgen.cli.flags import Diff, DryRun
from xlmgen.errors import UserError
from xlmgen.io.files import real_path, require_folder
from xlmgen.render.apply import refuse, write
from xlmgen.render.changes import Change, State, changes
from xlmgen.render.drift import unified
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.render.transaction import exclusive
from xlmgen.spec import modeline
from xlmgen.spec.family import FamilySpec, read_family
from xlmgen.spec.project import project_of
from xlmgen.terminal.output import say

FAMILIES = Path("families")
STYLES = {
    State.NEW: "green",
    State.UNCHANGED: "dim",
    State.STALE: "yellow",
    State.ORPHAN: "red",
    State.EDITED: "bold red",
    State.FOREIGN: "bold red",
    State.LEFT: "bold red",
    State.KEPT: "yellow",
    State.MERGED: "green",
    State.CONFLICT: "bold red",
    State.DELETED: "yellow",
}
WORDS = {State.STALE: "rewritten", State.ORPHAN: "removed"}


def new(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.yaml", help="The family's YAML file.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to put the family's folder in; ./families by default. "
            "The family.yaml of a rendered family is rendered where it is.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    diff: Diff = False,
) -> int:
    """Render a family's spec into a Python package.

    Files that xlmgen did not write, or that were edited, are never overwritten.

    Example: xlmgen new my_family.yaml
    """
    from xlmgen.render import render

    family = read_family(file)
    folder = (out or home(file)) / family.name
    require_kinds(family, folder)
    if real_path(file) != real_path(folder / SPEC):
        source = modeline.with_schema_path(family.source, folder / SPEC, "family")
        family = replace(family, source=source)
    rendered = render(family)
    if diff:
        show_diffs(folder, changes(folder, rendered))
        return 0
    if dry_run:
        require_folder(folder)
        planned = changes(folder, rendered)
        show_files(folder, planned, "would be written to")
        refuse(folder, planned)
        return 0
    with exclusive(folder):
        planned = changes(folder, rendered)
        write(folder, planned)
    show_files(folder, planned, "written to")
    say()
    say("next:")
    say(f"  pytest {folder}")
    say(f"  xlmgen train {folder / 'experiments' / 'star_tiny.yaml'}")
    return 0


def require_kinds(family: FamilySpec, folder: Path) -> None:
    """Refuse to write a family to a folder from which its kinds are not found.

    Raises:
        UserError: the family has kinds of another project than that of the folder.
    """
    for kind in family.own_kinds:
        if project_of(folder).root != kind.root:
            raise UserError(
                f"the {kind.component} '{kind.name}' is a kind of the project "
                f"{kind.root}, which {folder} is not in",
                f"write it there: --out {kind.root / FAMILIES}",
            )


def home(file: Path) -> Path:
    """Default parent folder of a family's folder."""
    if file.name == SPEC and (file.parent / LOCK).is_file():
        return Path(os.path.normpath(file.parent / os.pardir))
    return FAMILIES


def show_files(folder: Path, planned: Sequence[Change], verb: str) -> None:
    """List every file with its change, and count them."""
    ordered = sorted(planned, key=lambda change: ("/" in change.path, change.path))
    width = max(len(change.path) for change in planned) + 2
    words = [
        (f"{c.path:<{width}}", WORDS.get(c.state, c.state.value), c.state)
        for c in ordered
    ]
    if printing.is_terminal(sys.stdout):
        from rich.text import Text

        from xlmgen.terminal.console import SafeConsole

        console = SafeConsole()
        console.print(Text(f"{folder}/", "bold"))
        for path, word, state in words:
            console.print(Text.assemble(f"  {path}", (word, STYLES[state])))
    else:
        say(f"{folder}/")
        for path, word, _ in words:
            say(f"  {path}{word}")
    done = sum(change.old != change.new for change in planned)
    marked = sum(change.state is State.CONFLICT for change in planned)
    conflicts = f", {marked} of them with conflicts to resolve" if marked else ""
    say(f"{done} of {len(words)} files {verb} {folder}{conflicts}")


def show_diffs(folder: Path, planned: Sequence[Change]) -> None:
    """Print unified diffs from the files on disk to the planned ones."""
    for change in planned:
        # The lock follows from the other files.
        if change.old == change.new or change.path == LOCK:
            continue
        name = (folder / change.path).as_posix()
        before = "/dev/null" if change.state is State.NEW else name
        after = "/dev/null" if change.new is None else name
        printing.print_diff(unified(change.old or "", change.new or "", before, after))
