"""The benchmark of speed runs what it says it runs; how fast is not asked here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.run import Cell, line  # noqa: E402
from benchmarks.speed import ours, worker  # noqa: E402
from benchmarks.speed.gpu import DeviceStep  # noqa: E402
from benchmarks.speed.shapes import SHAPES, Shape  # noqa: E402
from benchmarks.speed.side import Side, moved_bytes  # noqa: E402
from benchmarks.speed.startup import STARTS, commands, spent  # noqa: E402

TINY = Shape(
    d_model=16,
    layers=1,
    num_heads=2,
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
    for function in (
        worker.built,
        worker.trained,
        worker.operations,
        worker.least_bytes,
    ):
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
    assert answer["bytes"] > 0
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


def test_commands_start_and_one_that_fails_is_no_time():
    for start in STARTS:
        if start.ours[0] != "train":
            assert spent(commands(start, None)["ours"])["processor_seconds"] > 0
    found = commands(STARTS[0], Path("peer/bin/python"))
    assert found["peer"] == ["peer/bin/xlm", "--help"]
    with pytest.raises(RuntimeError, match="no_such_command"):
        spent([sys.executable, "-m", "xlmgen", "no_such_command"])


def test_a_start_is_shown_beside_its_imports():
    cell = Cell("", "start", "--help", "s", [0.3], [6.0])
    cell.notes["bare"] = {"imports": "import this", "seconds": [0.2]}
    expected = "| start |  | --help | 0.3 s | 6 s | 20.0× | 1.5 × `import this` |"
    assert line(cell) == expected


def plain_side(loss):
    """A side of one layer, from 4 numbers to 3."""
    model = nn.Linear(4, 3)
    return Side(
        model=model,
        examples=lambda number: [[1.0] * 4] * number,
        collate=lambda rows: {"x": torch.tensor(rows)},
        loss=lambda batch: loss(model(batch["x"])),
        groups=[{"params": list(model.parameters())}],
        generators={},
    )


def test_bytes_of_a_step_are_those_of_weights_and_of_what_backward_needs():
    side = plain_side(lambda y: y.square().sum())
    weights, needed = 4 * (4 * 3 + 3), 4 * (2 * 4 + 2 * 3)  # the input and the output
    batch = side.collate(side.examples(2))
    assert moved_bytes(side, batch) == 10 * weights + 2 * needed


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_device_s_step_counts_its_products_and_what_breaks_its_graph():
    cpu = torch.device("cpu")

    def breaks(y):
        torch._dynamo.graph_break()
        return y.square().sum()

    whole = DeviceStep(plain_side(lambda y: y.square().sum()), TINY, cpu, "eager")
    found = whole.measure()
    assert found["operations"] == 2 * 2 * TINY.batch * 4 * 3  # and for the gradient
    assert (found["graphs"], found["graph_breaks"], found["syncs"]) == (1, 0, 0)
    assert found["seconds"] > 0
    assert found["mfu"] is None, "no peak is known of a processor"
    broken = DeviceStep(plain_side(breaks), TINY, cpu, "eager").measure()
    assert broken["graph_breaks"] > 0
    cell = Cell("mdlm", "gpu", "step", "s", [1.0], [], {"ours": {**found, "mfu": 0.4}})
    assert "of the peak: 40 %; 1 graphs, 0 graph_breaks, 0 syncs" in line(cell)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured_on_one():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/run.py", "--device", "cuda"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "finds no GPU" in done.stderr
