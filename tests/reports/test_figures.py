"""`xlmgen report --figures`: files for a paper, all or none."""

import csv
import importlib.util
import io
from pathlib import Path

import pytest

from xlmgen.cli import main

from .conftest import ROWS

matplotlib = pytest.importorskip("matplotlib")


def said(capsys, *arguments):
    code = main(["report", *arguments, "--figures", "figs"])
    return code, capsys.readouterr().err


def test_figures_and_tables_are_written(four, capsys):
    assert said(capsys, *four)[0] == 0
    charts = {"learning-exact_match", "learning-loss"}
    expected = {f"{chart}.{kind}" for chart in charts for kind in ("pdf", "svg", "png")}
    expected |= {"table.tex", "table.md", "table.csv", "figures.json"}
    assert {file.name for file in Path("figs").iterdir()} == expected
    assert Path("figs/learning-loss.pdf").read_bytes().startswith(b"%PDF")
    assert Path("figs/learning-loss.png").read_bytes().startswith(b"\x89PNG")
    tex = Path("figs/table.tex").read_text("utf-8")
    assert tex.count(r"\begin{tabular}") == 2
    assert "26.8 $\\pm$ 2.4 \\%" in tex  # 11 of 41, and 1 of 41
    rows = csv.DictReader(io.StringIO(Path("figs/table.csv").read_text("utf-8")))
    one = next(
        row
        for row in rows
        if (row["table"], row["run"], row["metric"]) == ("mean", "slow", "exact_match")
    )
    assert float(one["value"]) == pytest.approx(11 / ROWS)


def test_equal_reports_are_equal_files(four, capsys):
    said(capsys, *four)
    before = {file.name: file.read_bytes() for file in Path("figs").iterdir()}
    assert said(capsys, *four)[0] == 0
    assert {file.name: file.read_bytes() for file in Path("figs").iterdir()} == before


def test_edited_file_is_not_replaced_and_nothing_else_is(four, capsys):
    said(capsys, *four)
    Path("figs/table.tex").write_text("mine")
    Path("report.html").unlink()
    before = {file: file.stat().st_mtime_ns for file in Path("figs").iterdir()}
    code, err = said(capsys, *four)
    assert code == 2
    assert "figs/table.tex was edited, or no report wrote it" in err
    assert {file: file.stat().st_mtime_ns for file in Path("figs").iterdir()} == before
    assert not Path("report.html").exists()
    assert not list(Path().glob(".figs*"))


def test_names_are_no_formulas_and_may_lack_glyphs(make_run, capsys):
    make_run("$\\frac{1}$", curve=[(4, 0.5), (8, 0.75)])
    make_run("漢字", rate=0.5, curve=[(4, 0.5), (8, 0.75)])
    assert said(capsys, "$\\frac{1}$", "漢字")[0] == 0


def test_missing_matplotlib_is_one_line(make_run, capsys, monkeypatch):
    make_run("a")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, err = said(capsys, "a")
    assert code == 2
    assert err == "error: --figures needs matplotlib; pip install 'xlmgen[report]'\n"
    assert not Path("report.html").exists()
