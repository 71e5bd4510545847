"""Tables of a comparison on narrow consoles."""

import io
import re

import pytest
from rich.console import Console

from xlmgen.comparison.layout import _drawn, parts
from xlmgen.comparison.tables import Table

NUMBER = "12.3456 ± 0.1234"


def table(columns, rows, label="run"):
    names = [f"metric of name {n}" for n in range(columns)]
    return Table(
        "", ("run", *names), [(f"{label}{n}", *[NUMBER] * columns) for n in range(rows)]
    )


def printed(found, width):
    console = Console(file=io.StringIO(), width=width)
    for part in parts(found, width):
        console.print(_drawn(part, width), crop=False, no_wrap=True)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (3, 12), (9, 2), (20, 20)])
def test_no_number_is_broken_and_no_line_too_long(width, columns, rows):
    out = printed(table(columns, rows, label="a-long-name-of-a-run-" * 3), width)
    assert len(re.findall(re.escape(NUMBER), out)) == columns * rows
    assert max(map(len, out.splitlines())) <= width


def test_table_that_fits_is_unchanged():
    found = table(3, 12)
    assert list(parts(found, 80)) == [found]


def test_few_runs_with_many_metrics_are_columns():
    (found,) = parts(table(9, 2), 80)
    assert found.columns == ("", "run0", "run1")
    assert found.rows[8] == ("metric of name 8", NUMBER, NUMBER)


def test_many_runs_with_many_metrics_are_several_tables_with_the_same_runs():
    found = list(parts(table(9, 12), 80))
    assert len(found) > 1
    names = [column for part in found for column in part.columns[1:]]
    assert names == [f"metric of name {n}" for n in range(9)]
    assert {part.rows[11][0] for part in found} == {"run11"}
