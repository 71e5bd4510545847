"""`xlmgen report`: a page and figures of evaluated runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.eval_ import Split
from xlmgen.cli.train import RUNS
from xlmgen.terminal.output import say


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN... | SWEEP.yaml", help="Run folders, or a sweep's YAML file."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The page; an earlier report is replaced.")
    ] = Path("report.html"),
    figures: Annotated[
        Path | None,
        typer.Option(
            help="Also write figures (PDF, SVG, PNG) and tables (LaTeX, Markdown, CSV) "
            "into this folder."
        ),
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(help="Which examples; those of the sweep, or test, by default."),
    ] = None,
) -> int:
    """Write a report of evaluated runs as one HTML page.

    The page has means over seeds, paired differences with intervals, learning curves,
    quality against forward passes, the order of generation, settings that differ,
    training compute, commands and versions. It needs no network and no server.
    --figures needs matplotlib: pip install 'xlmgen[report]'.

    Exit code 0: written; 2: there is no such run, or a file is in the way.

    Example: xlmgen report runs/my_sweep/*/ --figures figures
    """
    from xlmgen.reports.figures import check_figures, write_figures
    from xlmgen.reports.page import render_page, require_page, write_page
    from xlmgen.reports.report import report as collect

    require_page(out)
    if figures is not None:
        check_figures(figures)
    found = collect(runs, RUNS, split and split.value)
    page = render_page(found)
    if figures is not None:
        write_figures(figures, found)
    write_page(out, page)
    say(f"{out}  {sum(len(s.comparison.runs) for s in found.sections)} runs")
    if figures is not None:
        say(f"{figures}  figures and tables")
    return 0
