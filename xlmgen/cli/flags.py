"""Flags that several commands have."""

from typing import Annotated

import typer

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only list what would be written.")
]
Diff = Annotated[bool, typer.Option("--diff", help="Show every change; write nothing.")]
