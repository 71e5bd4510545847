"""A run that is killed again and again ends as the one that never was.

Both are `xlmgen train` in processes of their own, with all that has a state of its own:
workers, accumulation, dropout, a schedule, an average, packed documents.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from xlmgen import resources
from xlmgen.runs.checkpoint import FolderCheckpoint
from xlmgen.runs.checkpoint_folder import checkpoints
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run

TASK = """\
spec: xlmgen/task/v1
name: numbers
layout: lm
max_length: {length: 24}
source: {files: {train: numbers.txt}, unit: line}
tokenizer: {kind: character}
packing: documents
"""

EXPERIMENT = """\
spec: xlmgen/experiment/v1
name: killed
family: mdlm
task: ./numbers.yaml
size: tiny
model: {d_model: 16, layers: 1, num_heads: 2, dropout: 0.2}
training:
  max_steps: 90
  batch_size: 8
  accumulate: 2
  learning_rate: 1.0e-2
  warmup_steps: 10
  schedule: cosine
  ema_decay: 0.9
  log_every: 5
  validate_every: 7
  checkpoint_every: 3
  keep: 2
  keep_every: 20
  num_workers: 2
  accelerator: cpu
evaluation: {batch_size: 64, generate: 0}
"""

# What the family's copy of its loss does first: write down what it is trained on.
WITNESS = """\
        if model.training:
            seen = hash(tuple(batch["input_ids"].flatten().tolist()))
            with open(__import__("os").environ["SEEN"], "a") as file:
                file.write(f"{seen}\\n")
        # 1. """

PROGRAM = "import sys; from xlmgen.cli import main; sys.exit(main())"
STEPS = 90
SEED = 20_240_607


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    family = resources.root() / "families" / "mdlm"
    shutil.copytree(
        family, "families/mdlm", ignore=shutil.ignore_patterns("__pycache__")
    )
    loss = Path("families/mdlm/loss_mdlm.py")
    text = loss.read_text(encoding="utf-8")
    assert text.count("        # 1. ") == 1
    loss.write_text(text.replace("        # 1. ", WITNESS), encoding="utf-8")
    lines = (f"{n} is a number, and so is {n * n}\n" for n in range(400))
    Path("numbers.txt").write_text("".join(lines), encoding="utf-8")
    Path("numbers.yaml").write_text(TASK, encoding="utf-8")
    Path("killed.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path


def start(folder):
    """`xlmgen train` in a process of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-c",
            PROGRAM,
            "train",
            "killed.yaml",
            "--run-dir",
            folder,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "SEEN": f"{folder}.seen", "OMP_NUM_THREADS": "1"},
    )


def kill(process, folder, steps, saving, chance):
    """Kill a run at a random moment after some steps, or while it writes a checkpoint.

    Returns:
        What it had printed.
    """
    lines, first = [], None
    for line in process.stdout:
        lines.append(line)
        if not (step := re.search(r"step (\d+)/", line)):
            continue
        first = first or int(step[1])
        if int(step[1]) >= first + steps:
            break
    while saving and not list(Path(folder, "checkpoints").glob(".step=*")):
        assert process.poll() is None
    time.sleep(0 if saving else chance.uniform(0, 0.05))
    process.kill()
    return "".join(lines) + process.communicate()[0]


class Order:
    """The batches that the final weights were trained on, in order."""

    def __init__(self, folder):
        self.file = Path(f"{folder}.seen")
        self.batches = []
        self._read = 0

    def add(self, output):
        """Take in what one process was trained on, from its first step on."""
        went_on = re.search(r"continuing from step (\d+)", output)
        first = 2 * int(went_on[1]) if went_on else 0
        assert first <= len(self.batches)
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.batches[first:] = lines[self._read :]
        self._read = len(lines)
        return first // 2


def assert_equal(one, other, where=""):
    """Hold states to be the same, bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key, value in one.items():
            assert_equal(value, other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (ours, theirs) in enumerate(zip(one, other, strict=True)):
            assert_equal(ours, theirs, f"{where}[{number}]")
    else:
        assert one == other, where


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_that_is_killed_at_random_moments_equals_one_that_is_not(
    place, optimizer
):
    kind = f"training:\n  optimizer: {{kind: {optimizer}}}\n"
    text = EXPERIMENT.replace("training:\n", kind)
    Path("killed.yaml").write_text(text, encoding="utf-8")
    process = start("whole")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    whole = Order("whole")
    whole.add(output)

    chance, parts, began = random.Random(SEED), Order("parts"), []
    for saving in chance.sample([True, False, False], 3):
        steps = chance.randrange(4, 12)
        output = kill(start("parts"), "parts", steps, saving, chance)
        assert "next:" not in output, output
        # A worker that was handing over a batch just then may say that nobody is there.
        orphaned = output.count("resource_sharer.py")
        assert output.count("Traceback") <= orphaned, output
        began.append(parts.add(output))
    process = start("parts")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert "note:" not in output  # every checkpoint was whole
    began.append(parts.add(output))
    assert began[0] == 0 < began[1] < began[2] < began[3] < STEPS, began

    assert len(whole.batches) == 2 * STEPS
    assert len(set(whole.batches)) == 2 * STEPS
    assert parts.batches == whole.batches
    runs = [Run.open(folder) for folder in ("whole", "parts")]
    rows = [read_rows(run.path / "metrics.csv") for run in runs]
    assert [int(row["step"]) for row in rows[0]] == sorted(
        {*range(5, STEPS + 1, 5), *range(7, STEPS + 1, 7)}
    )
    assert rows[0] == rows[1]
    found = [checkpoints(run.checkpoints) for run in runs]
    assert list(found[0]) == list(found[1])
    assert {20, 40, 60, 80, STEPS} < set(found[0])
    best = [json.loads((run.checkpoints / "best.json").read_text()) for run in runs]
    assert best[0] == best[1]
    for step in found[0]:
        states = [FolderCheckpoint().load_checkpoint(steps[step]) for steps in found]
        assert {"state_dict", "average", "optimizer_states"} <= states[0].keys()
        assert_equal(*states, f"step {step}")
