"""GPT-2 is trained on the batches of an experiment and writes the curve of a run."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

pytest.importorskip("transformers")
from benchmarks.learn import gpt2  # noqa: E402
from xlmgen.cli import main  # noqa: E402

EXPERIMENT = ROOT / "families/arlm/experiments/shakespeare_char.yaml"
SMALL = (
    "task=./letters.yaml",
    "model={d_model: 16, layers: 2, num_heads: 2, dropout: 0.0}",
    "training.max_steps=5",
    "training.warmup_steps=2",
    "training.batch_size=4",
    "training.log_every=2",
    "training.validate_every=3",
    "training.accelerator=cpu",
)
TASK = """\
spec: xlmgen/task/v1
name: letters
layout: lm
max_length: {length: 9}
source: {files: {train: a.txt, validation: b.txt, test: b.txt}, unit: file}
tokenizer: {kind: character}
packing: packed
"""


@pytest.fixture
def letters(tmp_path, monkeypatch):
    """A folder with a task of 100 characters, whose last row is shorter than others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letters.yaml").write_text(TASK)
    (tmp_path / "a.txt").write_text("to be or not to be. " * 5)
    (tmp_path / "b.txt").write_text("not to be or to be")
    return tmp_path


def steps(rows, column):
    return [int(row["step"]) for row in rows if column in row]


@pytest.mark.slow
def test_the_curve_has_the_steps_and_the_learning_rates_of_a_run(letters):
    rows = gpt2.train_gpt2(EXPERIMENT, SMALL, letters / "peer")
    assert main(["train", str(EXPERIMENT), *SMALL, "--run-dir", "run"]) == 0
    ours = gpt2.read_rows(letters / "run" / "metrics.csv")
    for column in ("train/loss", "train/lr", "val/loss"):
        assert steps(rows, column) == steps(ours, column)
    assert [r.get("train/lr") for r in rows] == [r.get("train/lr") for r in ours]
    assert (letters / "peer" / "metrics.csv").read_text().startswith("step,train/loss,")
    about = json.loads((letters / "peer" / "gpt2.json").read_text())
    assert about["config"]["n_layer"] == 2
    assert about["config"]["resid_pdrop"] == 0


@pytest.mark.slow
def test_it_sees_the_rows_of_a_run_in_their_order(letters, monkeypatch):
    seen = {"peer": [], "run": []}
    nll = gpt2._nll

    def spied(model, batch):
        if model.training:
            seen["peer"].append(batch["input_ids"].tolist())
        return nll(model, batch)

    monkeypatch.setattr(gpt2, "_nll", spied)
    gpt2.train_gpt2(EXPERIMENT, SMALL, letters / "peer")
    from xlmgen.training.harness import Harness

    step = Harness.training_step

    def training_step(self, batch, batch_idx):
        seen["run"].append(batch["input_ids"].tolist())
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Harness, "training_step", training_step)
    assert main(["train", str(EXPERIMENT), *SMALL, "--run-dir", "run"]) == 0
    assert len(seen["run"]) == 5
    assert seen["peer"] == seen["run"]


@pytest.mark.slow
def test_validation_is_the_mean_over_all_characters_of_the_split(letters):
    """One that is uniform over the vocabulary has ln V for each of them."""
    uniform = torch.nn.Module()
    uniform.forward = lambda ids: type(
        "Output", (), {"logits": torch.zeros(*ids.shape, 13)}
    )
    data, _ = gpt2.parts(gpt2.resolve(EXPERIMENT, SMALL))
    batches, requests = data.evaluation_batches("validation")
    counted = sum(gpt2._nll(uniform, batches[request])[1] for request in requests)
    assert counted == len((letters / "b.txt").read_text()) + 1  # and its EOS
    assert gpt2.validation_loss(uniform, data) == pytest.approx(math.log(13))


@pytest.mark.slow
def test_a_finished_training_is_not_repeated(letters, monkeypatch):
    rows = gpt2.train_gpt2(EXPERIMENT, SMALL, letters / "peer")
    monkeypatch.setattr(gpt2, "_fit", None)
    assert gpt2.train_gpt2(EXPERIMENT, SMALL, letters / "peer") == rows


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.accumulate=2", "accumulate is 2"),
        ("training.optimizer.kind=muon", "optimizer is .*muon"),
    ],
)
def test_a_setting_that_is_not_followed_is_refused(letters, setting, message):
    with pytest.raises(ValueError, match=message):
        gpt2.train_gpt2(EXPERIMENT, (*SMALL, setting), letters / "peer")
