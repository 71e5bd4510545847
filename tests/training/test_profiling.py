"""`--debug profile`: the steps it says, the operations they ran, and a trace."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch

from xlmgen.cli import main
from xlmgen.training import debugging, profiling
from xlmgen.training.harness import Harness


@pytest.fixture
def profiled(project, capsys, monkeypatch):
    """Profile the stand-in; gives what was printed, and the folder that it names."""
    folders = []

    def profile(*overrides):
        assert main(["train", "toy.yaml", "--debug", "profile", *overrides]) == 0
        out = capsys.readouterr().out
        trace = Path(re.search(r"^trace: (.*)$", out, re.M)[1])
        folders.append(trace.parent)
        return out, trace

    yield profile
    for folder in folders:
        shutil.rmtree(folder)


def test_it_shows_the_costliest_operations_and_names_a_trace(
    project, profiled, monkeypatch
):
    steps = []
    real = Harness.training_step

    def counted(self, batch, batch_idx):
        steps.append(batch_idx)
        # Something that costs more than all of the stand-in, in profiled steps only.
        if len(steps) > 2 * debugging.WARMUP_STEPS:
            torch.ones(10_000_000).cumprod(0)
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Harness, "training_step", counted)
    out, trace = profiled("training.accumulate=2")
    assert len(steps) == 2 * 15
    line = re.search(r"10 steps after 5 others: [\d.]+ ms a step, of which (.*)", out)[
        1
    ]
    shares = [int(share) for share in re.findall(r"(\d+) %", line)]
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(100, abs=2)
    assert shares[1] == max(shares)  # the forward pass
    table = re.findall(r"^ *([\d.]+) % +([\d.]+) +([\d.]+)  (\S+)", out, re.M)
    assert table[0][3] == "aten::cumprod"
    assert float(table[0][1]) == 2.0
    costs = [float(row[2]) for row in table]
    assert costs == sorted(costs, reverse=True)
    assert not {row[3] for row in table} & set(profiling.PHASES)
    assert sum(float(row[0]) for row in table) <= 100.1
    names = [e.get("name") for e in json.loads(trace.read_text())["traceEvents"]]
    assert names.count("aten::cumprod") == names.count("forward") == 20
    assert names.count("data loading") == 20
    assert "ui.perfetto.dev" in out
    assert not (project / "runs").exists()


def test_loading_data_has_its_share(profiled, monkeypatch):
    """What waits between two steps is not the steps'."""
    real = profiling.StepProfiler.on_train_batch_end

    def slow(self, *args):
        real(self, *args)
        time.sleep(0.2)

    before, _ = profiled()
    monkeypatch.setattr(profiling.StepProfiler, "on_train_batch_end", slow)
    after, _ = profiled()
    assert loading(after) > 2 * loading(before)  # of a machine that may be busy


def loading(out):
    return int(re.search(r"data loading (\d+) %", out)[1])


def test_a_mistake_leaves_nothing_behind(project, capsys, monkeypatch):
    made = []
    real = debugging.tempfile.mkdtemp

    def remembered(**options):
        made.append(real(**options))
        return made[-1]

    monkeypatch.setattr(debugging.tempfile, "mkdtemp", remembered)
    command = ["train", "toy.yaml", "--debug", "profile"]
    assert main([*command, "training.max_step=3"]) == 2
    assert main([*command, "model.num_kv_heads=1"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not [folder for folder in made if Path(folder).exists()]
