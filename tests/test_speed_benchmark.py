"""The benchmark of speed runs what it says it runs; how fast is not asked here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.run import Cell, line  # noqa: E402
from benchmarks.speed import ours, worker  # noqa: E402
from benchmarks.speed.shapes import SHAPES, Shape  # noqa: E402

TINY = Shape(
    d_model=16,
    layers=1,
    heads=2,
    length=24,
    batch=3,
    vocab=20,
    rows=2,
    prompt=4,
    new=8,
    steps=(4,),
)
FAMILIES = sorted(p.parent.name for p in (ROOT / "families").glob("*/family.yaml"))
ANY_LENGTH = ("flexmdm",)
"""Their predictors make as many tokens as they think right."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(SHAPES, "tiny", TINY)
    for function in (worker.built, worker.trained, worker.operations):
        function.cache_clear()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_cell_of_a_family(family):
    side = ours.build(family, TINY)
    batch = side.collate(side.examples(TINY.batch))
    assert batch["input_ids"].shape[0] == TINY.batch
    assert TINY.length - 2 <= batch["input_ids"].shape[1] <= TINY.length or (
        batch["attention_mask"] is not None  # tokens were taken out
    )
    for cell in ("collate", "step"):
        answer = worker.run("ours", family, "tiny", cell)
        assert answer["seconds"] > 0
    assert answer["operations"] > 0
    modes = worker.run("ours", family, "tiny", "modes")["modes"]
    assert modes
    for mode in modes:
        answer = worker.run("ours", family, "tiny", f"generate {mode}")
        assert answer["passes"] > 0
        if family not in ANY_LENGTH:
            assert answer["tokens"] == TINY.rows * TINY.new


def test_a_worker_answers_line_by_line_and_names_mistakes():
    requests = [
        {"family": "mdlm", "shape": "small", "cell": "modes"},
        {"family": "nothing", "shape": "small", "cell": "step"},
    ]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.worker", "ours"],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == {"modes": ["64 steps", "128 steps"]}
    assert "nothing" in second["error"]


def test_a_ratio_is_of_medians():
    cell = Cell("mdlm", "small", "step", "s", [1.0, 9.0, 2.0], [6.0, 4.0, 100.0])
    assert cell.ratio == 3
    assert line(cell) == "| small | mdlm | step | 2 s | 6 s | 3.0× |"
    alone = Cell("mdlm", "small", "step", "s", [1.0], [])
    assert alone.ratio is None
    assert line(alone) == "| small | mdlm | step | 1 s |"
