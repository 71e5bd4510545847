"""`xlmgen explain`: explain a key of a spec or the code of a diagnostic."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from xlmgen.cli import completion, printing
from xlmgen.cli.flags import FORMAT, Format, print_json
from xlmgen.errors import UserError, shortened
from xlmgen.spec import own_kinds
from xlmgen.spec.code_pages import PAGES
from xlmgen.spec.diagnostics import CODES, SpecError
from xlmgen.spec.explain import Entry
from xlmgen.spec.explain import explain as find
from xlmgen.spec.project import project_of
from xlmgen.terminal.output import say

CODE = re.compile(r"XG\d+", re.IGNORECASE)


def explain(
    path: Annotated[
        str,
        typer.Argument(
            help="A key such as predictor.order, or a code such as XG104.",
            show_default=False,
            autocompletion=completion.explained,
        ),
    ] = "",
    format: FORMAT = Format.text,
) -> int:
    """Explain a key of a spec or the code of a diagnostic.

    Shows the type, default, allowed values and examples of a key, including kinds of
    the current folder's project.

    Example: xlmgen explain predictor.unmasking.remask
    """
    if CODE.fullmatch(path):
        explanation = explain_code(path.upper())
        if format is Format.json:
            page = PAGES[path.upper()]
            severity = CODES[path.upper()].severity
            print_json({"code": path.upper(), "severity": severity, **asdict(page)})
        else:
            print(explanation)
        return 0
    project = project_of(Path())
    if broken := own_kinds.problems(project):
        raise SpecError(broken)
    entries = find(path, project.schemas)
    if format is Format.json:
        print_json([as_data(entry) for entry in entries])
        return 0
    for number, entry in enumerate(entries):
        if number:
            say()
        show(entry)
    return 0


def explain_code(code: str) -> str:
    """Format the meaning of a code, an example and the fix.

    Raises:
        UserError: there is no such code.
    """
    if code not in CODES:
        # no suggestion: similar codes have unrelated meanings
        listed = ", ".join(CODES)
        raise UserError(f"there is no code {shortened(code, 20)}", f"codes: {listed}")
    page = PAGES[code]
    lines = [f"{code} ({CODES[code].severity}): {CODES[code].meaning}"]
    lines += ["", *textwrap.wrap(page.about, _width()), ""]
    for label, text in (("wrong", page.wrong), ("right", page.right)):
        for number, line in enumerate(text.splitlines()):
            lines.append(f"  {label if number == 0 else '':<6} {line}")
    if page.wrong:
        lines.append("")
    return "\n".join([*lines, *textwrap.wrap(page.fix, _width())])


def as_data(entry: Entry) -> dict[str, Any]:
    """A key and the names of the keys inside it, as JSON."""
    return {
        "path": entry.path,
        "kind": entry.kind,
        "description": entry.description,
        "type": entry.type,
        "required": entry.required,
        "default": entry.schema.get("default"),
        "allowed": entry.schema.get("enum", []),
        "examples": entry.schema.get("examples", []),
        "keys": [child.path for child in entry.children],
    }


def show(entry: Entry) -> None:
    """Print a key and the keys inside it."""
    of_kind = entry.kind and not entry.path.endswith(f".{entry.kind}")
    kind = f"  (kind: {entry.kind})" if of_kind else ""
    _print(f"{entry.path}{kind}", "bold")
    _print_wrapped("  ", entry.description)
    children = entry.children
    rows = [("type", entry.type)]
    if "." in entry.path:
        rows.append(("default", entry.default))
    if entry.allowed and not children:
        rows.append(("allowed", ", ".join(entry.allowed)))
    if entry.examples:
        rows.append(("examples", "; ".join(entry.examples)))
    for label, text in rows:
        _print_wrapped(f"  {label:<9} ", text)
    if children:
        _print("  keys")
    labels = [_label(child, entry.kind) for child in children]
    width = max(map(len, labels), default=0)
    for label, child in zip(labels, children, strict=True):
        _print_wrapped(f"    {label:<{width}}  ", _first_sentence(child.description))


def _label(entry: Entry, outer: str | None) -> str:
    """Name of a key, prefixed by its kind if its mapping has several kinds."""
    name = entry.path.rpartition(".")[2]
    return name if entry.kind in (None, outer) else f"{entry.kind}.{name}"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:;])\s", text, maxsplit=1)[0].rstrip(":;")


def _width() -> int:
    """Columns to fill: those of a terminal up to 88; a pipe has no limit."""
    if not printing.is_terminal(sys.stdout):
        return sys.maxsize
    return min(shutil.get_terminal_size().columns, 88)


def _print_wrapped(label: str, text: str) -> None:
    """Print a text after a label; in a terminal, later lines start below the text."""
    if not printing.is_terminal(sys.stdout):
        say(label + text)
        return
    room = max(20, _width() - len(label))
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        say((label if number == 0 else " " * len(label)) + line)


def _print(line: str, style: str = "") -> None:
    if style and printing.is_terminal(sys.stdout):
        from rich.text import Text

        from xlmgen.terminal.console import SafeConsole

        SafeConsole().print(Text(line, style))
    else:
        say(line)
