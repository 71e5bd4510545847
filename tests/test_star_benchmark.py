"""The report on star graphs is written from run folders, finished or not."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
METRICS = """\
step,train/loss,train/lr,val/loss,val/exact_match
50,2.0,0.001,,
100,1.5,0.001,1.25,0.07
150,1.4,0.001,,
200,1.0,0.0,0.75,0.31
"""


@pytest.fixture
def star(monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "star_benchmark", ROOT / "benchmarks" / "star.py"
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "star_benchmark", module)
    spec.loader.exec_module(module)
    return module


def make_run(folder, steps, scores=None):
    (folder / "results").mkdir(parents=True)
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "experiment.yaml").write_text(f"training: {{max_steps: {steps}}}\n")
    if scores:
        (folder / "results" / "test.json").write_text(json.dumps({"scores": scores}))


def test_every_family_has_a_colour_of_its_own(star):
    assert set(star.COLORS) == set(star.FAMILIES)
    assert len(set(star.COLORS.values())) == len(star.FAMILIES) > 1


def test_table_holds_every_run_of_the_task(star, tmp_path):
    scores = {"exact_match": 0.5, "token_accuracy": 0.75, "valid_path": 0.5}
    make_run(tmp_path / "star_easy-arlm-0", 200, scores)
    make_run(tmp_path / "star_easy-mdlm-1", 300, scores)
    make_run(tmp_path / "star_hard-mdlm-1", 300)
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- runs: star_easy -->\nold\n<!-- end -->\nb\n")
    runs = star.find(tmp_path, "star_easy")
    assert [run.finished for run in runs] == [True, False]
    for _ in range(2):
        star.write_table(page, "star_easy", runs)
    before, *rows, after = page.read_text().splitlines()
    assert (before, after) == ("a", "b")
    assert "old" not in rows
    assert [row for row in rows if row.startswith("| ")][1:] == [
        "| arlm | 0 | 200 | 0.750 | 31.0 % | 50.0 % | 75.0 % | 50.0 % |",
        "| mdlm | 1 | 200 of 300 | 0.750 | 31.0 % | – | – | – |",
    ]


def test_curves_hold_what_validation_found(star, tmp_path):
    make_run(tmp_path / "star_easy-arlm-0", 200)
    (run,) = star.find(tmp_path, "star_easy")
    assert [(row["step"], row["exact_match"]) for row in run.curve] == [
        (100, 0.07),
        (200, 0.31),
    ]


def test_page_has_a_table_for_every_task(star):
    page = (ROOT / "benchmarks" / "star.md").read_text("utf-8")
    for task in ("star_easy", "star_medium", "star_hard"):
        assert f"<!-- runs: {task} -->" in page
