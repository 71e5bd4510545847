"""The schema refuses sizes that are too large, with their position."""

from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate

ROOT = Path(__file__).parents[2]
HUGE = 10**12
EXPERIMENT = """\
spec: xlmgen/experiment/v1
family: mdlm
task: star_tiny
size: tiny
"""
TASK = """\
spec: xlmgen/task/v1
name: words
layout: LAYOUT
max_length: {MAX_LENGTH}
source: {files: {train: words.jsonl}}
tokenizer: {kind: byte}
"""


@pytest.mark.parametrize(
    "path",
    [
        *("training.batch_size", "training.accumulate", "training.num_workers"),
        *("training.devices", "training.num_nodes", "evaluation.batch_size"),
        *("evaluation.generate", "evaluation.bound_samples", "model.d_model"),
        *("model.layers", "model.num_heads", "model.num_kv_heads", "model.ffn"),
    ],
)
def test_invalid_size_of_experiment_is_refused(path):
    section, key = path.split(".")
    text = f"{EXPERIMENT}{section}: {{{key}: {HUGE}}}\n"
    (problem,) = validate(load_yaml("a.yaml", text), "experiment")
    assert (problem.code, problem.path, problem.line) == ("XG105", path, 5)
    assert f"{HUGE} is out of range" in problem.message
    assert "≤" in problem.fix


@pytest.mark.parametrize(
    ("layout", "max_length", "path"),
    [
        ("lm", f"length: {HUGE}", "max_length.length"),
        ("seq2seq", f"prompt: {HUGE}, answer: 8", "max_length.prompt"),
        ("seq2seq", f"prompt: 8, answer: {HUGE}", "max_length.answer"),
    ],
)
def test_invalid_length_of_task_is_refused(layout, max_length, path):
    text = TASK.replace("LAYOUT", layout).replace("MAX_LENGTH", max_length)
    (problem,) = validate(load_yaml("a.yaml", text), "task")
    assert (problem.code, problem.path) == ("XG105", path)


@pytest.mark.parametrize(
    ("family", "option"),
    [("arlm", "max_new_tokens"), ("ilm", "max_new_tokens"), ("bd3lm", "max_length")],
)
def test_invalid_length_of_answer_is_refused(family, option):
    text = (ROOT / "families" / family / "family.yaml").read_text("utf-8")
    assert "predictor:" in text
    document = load_yaml("a.yaml", text)
    document.data["predictor"][option] = HUGE
    (problem,) = validate(document, "family")
    assert (problem.code, problem.path) == ("XG105", f"predictor.{option}")


@pytest.mark.parametrize("command", ["resolve", "train", "data", "prepare"])
def test_every_command_refuses_invalid_override(command, project, capsys):
    assert main([command, "toy.yaml", f"training.batch_size={HUGE}"]) in (1, 2)
    error = capsys.readouterr().err
    assert "training.batch_size" in error
    assert "≤ 1048576" in error
