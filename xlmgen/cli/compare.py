"""`xlmgen compare`: compare evaluated runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import report
from xlmgen.cli.eval_ import Split
from xlmgen.terminal import escape

WIDEST = 10_000  # columns of an output that is never cut


class Format(StrEnum):
    """Output format of a comparison."""

    text = "text"
    markdown = "markdown"
    json = "json"


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    split: Annotated[Split, typer.Option(help="Which examples.")] = Split.test,
    format: Annotated[Format, typer.Option(help="Output format.")] = Format.text,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with 1 if task, backbone or training differ."
        ),
    ] = False,
) -> int:
    """Compare runs by the results of `xlmgen eval`.

    Every evaluation of the split is a row: runs, and decoding options of one run.
    Differences to the first row are paired by example, and so are their standard
    errors. Runs that differ only in their seed are also averaged. Settings that differ
    between runs, such as task, size or learning rate, are listed.

    Exit code 0: compared; 1: with --strict, task, backbone or training differ; 2:
    nothing to compare.

    Example: xlmgen compare runs/arlm-star_tiny-tiny runs/mdlm-star_tiny-tiny
    """
    from xlmgen.comparison.comparison import as_data
    from xlmgen.comparison.comparison import compare as compare_runs
    from xlmgen.comparison.show import markdown, show
    from xlmgen.io.files import json_text
    from xlmgen.runs.run import Run
    from xlmgen.terminal.console import SafeConsole

    found = compare_runs([Run.open(run) for run in runs], split.value)
    if format is Format.json:
        print(escape.json_text(json_text(as_data(found))))
    elif format is Format.markdown:
        print(markdown(found))
    else:
        width = None if report.is_terminal(sys.stdout) else WIDEST
        show(found, SafeConsole(width=width))
    return int(strict and bool(found.unfair))
