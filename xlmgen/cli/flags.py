"""Flags that several commands have."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from xlmgen.terminal.escape import json_text

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only list what would be written.")
]
Diff = Annotated[bool, typer.Option("--diff", help="Show every change; write nothing.")]


class Format(StrEnum):
    """Output formats of a command that shows something."""

    text = "text"
    json = "json"


FORMAT = Annotated[Format, typer.Option(help="Output format.")]


def print_json(data: Any) -> None:
    """Print data as JSON, with nothing that a terminal would act on."""
    print(json_text(json.dumps(data, ensure_ascii=False, indent=2)))
