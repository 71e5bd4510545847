"""`xlmgen compare`: compare evaluated runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import completion
from xlmgen.cli.eval_ import Split
from xlmgen.terminal import escape


class Format(StrEnum):
    """Output format of a comparison."""

    text = "text"
    markdown = "markdown"
    json = "json"
    csv = "csv"
    latex = "latex"


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders.", autocompletion=completion.runs
        ),
    ],
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

    Every evaluation of the split is a row: runs, and decoding options of one run. Runs
    that differ only in their seed are averaged. Differences to the first are paired by
    seed and by example, with intervals over both. Settings that differ between runs,
    such as task, size or learning rate, are listed. Names leave out what all runs have
    in common.

    Exit code 0: compared; 1: with --strict, task, backbone or training differ; 2:
    nothing to compare.

    Example: xlmgen compare runs/arlm-star_tiny-tiny runs/mdlm-star_tiny-tiny
    """
    from xlmgen.comparison.comparison import compare as compare_runs
    from xlmgen.comparison.formats import as_data, csv_text, latex, markdown
    from xlmgen.comparison.layout import show
    from xlmgen.io.files import json_text
    from xlmgen.runs.run import Run
    from xlmgen.terminal.console import SafeConsole

    found = compare_runs([Run.open(run) for run in runs], split.value)
    match format:
        case Format.text:
            show(found, SafeConsole())
        case Format.json:
            print(escape.json_text(json_text(as_data(found))))
        case Format.markdown:
            print(markdown(found))
        case Format.csv:
            print(csv_text(found), end="")
        case Format.latex:
            print(latex(found))
    return int(strict and bool(found.unfair))
