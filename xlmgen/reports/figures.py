"""Figures and tables of a report for a paper. Needs the extra `report`."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlmgen.comparison.formats import csv_text, latex_table, markdown_table
from xlmgen.comparison.tables import Table
from xlmgen.errors import UserError
from xlmgen.io.files import require_folder, write_json
from xlmgen.io.json_input import Schema, read_object
from xlmgen.reports.chart import DASHES, MARKERS, PALETTE, Chart, Line
from xlmgen.reports.report import Report, Section
from xlmgen.terminal.escape import terminal

COLUMN = 3.3
"""Width of a column of a paper in inches."""
RATIO = 0.68
"""Height of a figure by its width."""
DPI = 300
FORMATS = ("pdf", "svg", "png")
LIST = "figures.json"
"""File with the hashes of the files of a folder of figures."""
SCHEMA: Schema = {
    "required": ["files"],
    "properties": {
        "files": {"type": "object", "additionalProperties": {"type": "string"}}
    },
}
STYLE: Any = {
    "font.family": ["STIXGeneral", "DejaVu Serif"],  # like Times, and what it lacks
    "mathtext.fontset": "stix",
    "text.parse_math": False,  # names may contain $
    "font.size": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # TrueType, which publishers require
    "svg.hashsalt": "xlmgen",
    "savefig.dpi": DPI,
}


def check_figures(folder: Path) -> None:
    """Check that figures can be drawn and written, before any work is done.

    Raises:
        UserError: matplotlib is not installed, or the folder cannot be written to.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("--figures needs matplotlib", "pip install 'xlmgen[report]'")
    require_folder(folder)


def write_figures(folder: Path, report: Report) -> None:
    """Write all figures and tables, or none.

    Files of an earlier report are replaced.

    Raises:
        UserError: a file is in the way that no report wrote, or that was edited.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", dir=folder.absolute().parent
    ) as place:
        draft = Path(place)
        for section in report.sections:
            prefix = f"{section.task}-" if len(report.sections) > 1 else ""
            _write_section(draft, prefix, section)
        made = {file.name: _digest(file) for file in sorted(draft.iterdir())}
        before = _listed(folder)
        for name in made:
            target = folder / name
            if target.exists() and before.get(name) != _digest(target):
                raise UserError(
                    f"{target} was edited, or no report wrote it",
                    "give another folder with --figures, or move the file",
                )
        folder.mkdir(exist_ok=True)
        for name in made:
            shutil.move(draft / name, folder / name)
        write_json(folder / LIST, {"files": {**before, **made}})


def _listed(folder: Path) -> dict[str, str]:
    """Hashes of the files that an earlier report wrote."""
    file = folder / LIST
    if not file.exists():
        return {}
    files: dict[str, str] = read_object(file, "delete it", SCHEMA)["files"]
    return files


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write_section(folder: Path, prefix: str, section: Section) -> None:
    for chart in [*section.learning, *section.quality]:
        for kind, figure in _drawn(chart):
            _save(figure, folder / f"{prefix}{chart.key}.{kind}")
    found = section.comparison
    if section.means is None:
        return
    shown: list[Table] = section.tables[: 2 if found.has_seeds else 1]
    for name, text in (
        ("table.tex", "\n\n".join(map(latex_table, shown))),
        ("table.md", "\n\n".join(map(markdown_table, shown))),
        ("table.csv", csv_text(found).rstrip("\n")),
    ):
        (folder / f"{prefix}{name}").write_text(f"{text}\n", encoding="utf-8")


def _drawn(chart: Chart) -> Iterator[tuple[str, Any]]:
    """The figure, for every format."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, COLUMN * RATIO), layout="constrained")
        axes = figure.add_subplot()
        for line in chart.lines:
            _draw_line(axes, chart, line)
        axes.set_xlabel(chart.x_label)
        axes.set_ylabel(terminal(chart.y_label))
        if chart.is_log:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if chart.is_share:
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, handlelength=3)
        for kind in FORMATS:
            yield kind, figure


def _draw_line(axes: Any, chart: Chart, line: Line) -> None:
    scale = 100 if chart.is_share else 1
    colour = PALETTE[line.style % len(PALETTE)]
    dash = DASHES[line.style % len(DASHES)]
    x = [point.x for point in line.points]
    y = [scale * point.y for point in line.points]
    errors = [scale * point.error for point in line.points]
    style = {
        "color": colour,
        "linestyle": (0, dash) if dash else "-",
        "label": terminal(line.name),
    }
    marker = MARKERS[line.style % len(MARKERS)]
    if chart.has_markers:
        known = [0.0 if math.isnan(error) else error for error in errors]
        axes.errorbar(x, y, yerr=known, marker=marker, elinewidth=0.7, **style)
        return
    every = max(1, len(x) // 6)
    axes.plot(x, y, marker=marker, markevery=every, markersize=3, **style)
    low = [a - b for a, b in zip(y, errors, strict=True)]
    high = [a + b for a, b in zip(y, errors, strict=True)]
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _save(figure: Any, path: Path) -> None:
    """Save without dates, so that equal figures are equal files."""
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path, metadata=dates[path.suffix[1:]])
