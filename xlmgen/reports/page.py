"""A report as one HTML page that needs no network, script or server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xlmgen import resources
from xlmgen.comparison.interval import LEVEL
from xlmgen.errors import UserError
from xlmgen.io.files import require_folder, require_plain, write_text
from xlmgen.reports.chart import PALETTE, Chart, Line
from xlmgen.reports.compute import FLOPS_PER_PARAMETER, UNEQUAL
from xlmgen.reports.orders import Order
from xlmgen.reports.report import Report
from xlmgen.reports.svg import chart_svg, order_svg, swatch_svg
from xlmgen.terminal.escape import terminal
from xlmgen.version import __version__

TEMPLATE = "page.html.jinja"
MARK = '<meta name="generator" content="xlmgen report">'
"""Line of a page by which it is recognised."""
HEAD = 1000
"""Characters at the beginning of a page that have the mark."""


def render_page(report: Report) -> str:
    """The page; all text of users' files is escaped."""
    made = Environment(
        loader=FileSystemLoader(resources.root() / "templates" / "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        finalize=_literal,
    )
    return made.get_template(TEMPLATE).render(
        report=report,
        mark=Markup(MARK),
        version=__version__,
        palette=PALETTE,
        level=f"{100 * LEVEL:g} %",
        flops_per_parameter=FLOPS_PER_PARAMETER,
        unequal=UNEQUAL,
        draw_chart=_draw_chart,
        draw_swatch=_draw_swatch,
        draw_order=_draw_order,
    )


def write_page(path: Path, page: str) -> None:
    """Write a page under a temporary name and rename it.

    Raises:
        UserError: see `require_page`.
    """
    require_page(path)
    write_text(path, page)


def require_page(path: Path) -> None:
    """Refuse to replace a file that is not a report.

    Raises:
        UserError: the file is something else, or its folder cannot be written to.
    """
    fix = "give another file with --out"
    require_plain(path, fix)
    if path.exists():
        with path.open("rb") as file:
            head = file.read(HEAD)
        if MARK.encode() not in head:
            raise UserError(f"{path} is not a report of xlmgen", fix)
    require_folder(path.absolute().parent)


def _literal(value: Any) -> Any:
    """Show characters that are not printable as escapes."""
    return terminal(value) if type(value) is str else value


def _draw_chart(chart: Chart) -> Markup:
    return Markup(chart_svg(chart))


def _draw_swatch(line: Line) -> Markup:
    return Markup(swatch_svg(line))


def _draw_order(order: Order) -> Markup:
    return Markup(order_svg(order))
