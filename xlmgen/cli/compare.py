"""`xlmgen compare`: runs side by side."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import report
from xlmgen.cli.eval_ import Split
from xlmgen.terminal import escape

WIDEST = 10_000  # columns of a table that is cut nowhere


class Format(StrEnum):
    """How a comparison is printed."""

    text = "text"
    markdown = "markdown"
    json = "json"


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    split: Annotated[Split, typer.Option(help="Which examples.")] = Split.test,
    format: Annotated[
        Format, typer.Option(help="How to print the comparison.")
    ] = Format.text,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if it is not a fair one.")
    ] = False,
) -> int:
    """Compare runs by the results of `xlmgen eval`.

    Every evaluation of the split is a row: the runs, and ways of decoding one of them.
    Differences to the first are taken row by row, so that their error is that of the
    same questions. Runs that differ in their seed only are also averaged. What the runs
    should share and do not, such as a task, a size or a learning rate, is listed.

    Exit code 0: compared; 1: with --strict, task, backbone or training differ; 2: there
    is nothing to compare.

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
