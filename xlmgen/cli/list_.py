"""`xlmgen list`: list available families and tasks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from xlmgen.cli import printing
from xlmgen.cli.flags import FORMAT, Format, print_json
from xlmgen.errors import UserError
from xlmgen.io.json_input import read_object
from xlmgen.registry import SPEC, Found, find_families
from xlmgen.spec.load import load_yaml
from xlmgen.spec.own_kinds import shown
from xlmgen.spec.project import OwnKind, project_of
from xlmgen.terminal.escape import terminal
from xlmgen.terminal.output import say

DETAILS = {"families": "components", "tasks": "layout", "kinds": "component"}


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    name: str
    title: str
    detail: str
    origin: str


def list_(format: FORMAT = Format.text) -> int:
    """List the families, the tasks and the project's own kinds.

    Example: xlmgen list
    """
    from xlmgen.tasks.find import find_tasks

    families = [family_row(found) for found in find_families()]
    tasks = [task_row(name, path) for name, path in find_tasks()]
    kinds = [kind_row(kind) for kind in project_of(Path()).kinds.values()]
    if format is Format.json:
        parts = {"families": families, "tasks": tasks, "kinds": kinds}
        print_json({part: _named(part, rows) for part, rows in parts.items()})
        return 0
    show("families", families, "write one with `xlmgen new FILE.yaml`")
    say()
    show("tasks", tasks, "none found")
    if kinds:
        say()
        show("kinds", kinds, "")
    return 0


def _named(part: str, rows: Sequence[Row]) -> list[dict[str, str]]:
    """Rows as objects, whose detail has the name of its column."""
    names = {"detail": DETAILS.get(part, "detail"), "origin": "from"}
    return [
        {names.get(key, key): value for key, value in asdict(row).items()}
        for row in rows
    ]


def family_row(found: Found) -> Row:
    """Row of a family: title, kinds of its components, and origin."""
    data = load_yaml(found.folder / SPEC).data
    if data is None:
        return Row(found.name, "(spec cannot be read)", "", _origin(found))
    components = [
        data.get(component) for component in ("collator", "model", "loss", "predictor")
    ]
    kinds = [
        str(component.get("kind"))
        for component in components
        if isinstance(component, dict)
    ]
    return Row(
        found.name, str(data.get("title", "")), " · ".join(kinds), _origin(found)
    )


def task_row(name: str, path: Path) -> Row:
    """Row of a task: title or summary, layout, and file."""
    data = load_yaml(path).data or {}
    title = str(data.get("title") or data.get("summary") or "")
    return Row(name, title, str(data.get("layout", "")), shown(path))


def kind_row(kind: OwnKind) -> Row:
    """Row of a kind: title, component, and schema file."""
    try:
        title = str(read_object(kind.schema, "").get("title", ""))
    except UserError:
        title = "(schema cannot be read)"
    return Row(kind.name, title, kind.component, shown(kind.schema))


def show(heading: str, rows: Sequence[Row], empty: str) -> None:
    """Print a table in a terminal, aligned columns in a pipe."""
    if not rows:
        say(f"{heading}: {empty}")
        return
    if printing.is_terminal(sys.stdout):
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        from xlmgen.terminal.console import SafeConsole

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in (heading, "title", DETAILS.get(heading, "")):
            table.add_column(column, style="bold" if column == heading else "")
        table.add_column("from", style="dim", overflow="fold")
        for row in rows:
            table.add_row(*map(terminal, astuple(row)))
        SafeConsole().print(table)
        return
    say(f"{heading}:")
    cells = [tuple(map(terminal, astuple(row))) for row in rows]
    widths = [max(len(cell[i]) for cell in cells) for i in range(4)]
    for cell in cells:
        padded = (f"{c:<{w}}" for c, w in zip(cell, widths, strict=True) if w)
        say(f"  {'  '.join(padded)}".rstrip())


def _origin(found: Found) -> str:
    if not found.shadows:
        return found.origin
    return f"{found.origin} (shadows {', '.join(map(shown, found.shadows))})"
