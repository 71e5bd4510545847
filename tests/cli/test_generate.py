"""`xlmgen generate`: answers with targets, and the order of their tokens."""

import io
import json
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.data.task import load_task


@pytest.fixture
def run(project, capsys):
    assert main(["train", "toy.yaml", "--run-dir", "run"]) == 0
    capsys.readouterr()
    return project / "run"


def said(capsys, *arguments):
    code = main(["generate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_test_prompts_are_answered_with_targets(run, capsys):
    code, out, _ = said(capsys, "run", "--num", "3", "--out", "answers.jsonl")
    assert code == 0
    task = load_task("toy_task.yaml")
    rows = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    for row, example in zip(rows, task.examples("test"), strict=False):
        assert row["prompt"] == task.decode(example["prompt"])
        assert row["target"] == task.decode(example["target"])
        assert row["correct"] == (row["prediction"] == row["target"])
        assert row["prompt"] in out
        assert row["target"] in out


def test_given_prompt_is_answered(run, capsys):
    code, out, _ = said(capsys, "run", "--prompt", "3 8 8 6 3 2 2 1 3 1")
    assert code == 0
    assert "3 8 8 6 3 2 2 1 3 1" in out
    assert "true" not in out


@pytest.mark.parametrize(("num", "answers"), [(40, 40), (41, 41), (42, 41)])
def test_too_many_answers_requested_is_noted(run, capsys, num, answers):
    code, out, _ = said(capsys, "run", "--num", str(num))
    assert code == 0
    assert out.count("answer  ") == answers
    note = "note: the test split has 41 rows, fewer than the 42 requested; all of them"
    assert out.startswith(note) is (num > 41)


@pytest.mark.parametrize("words", [("--prompt", ""), ("--prompt=",)])
def test_empty_prompt_is_accepted(run, capsys, words):
    code, out, _ = said(capsys, "run", *words)
    assert code == 0
    assert out.count("answer") == 1


def test_prompts_of_different_lengths_are_answered(run, capsys):
    code, out, _ = said(capsys, "run", "--prompt", "3 8", "--prompt", "1 2 3 4")
    assert code == 0
    assert out.count("answer") == 2


def test_trace_shows_steps_below_tokens(run, capsys):
    code, out, _ = said(capsys, "run", "--num", "1", "--trace")
    assert code == 0
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("answer"))
    tokens, steps = lines[start].split()[1:], lines[start + 1].split()
    assert steps == [str(step) for step in range(1, len(tokens) + 1)]
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out


def test_seed_reproduces_answers(run, capsys):
    assert said(capsys, "run", "--seed", "1") == said(capsys, "run", "--seed", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no run folder nowhere"),
        (["run", "--prompt", "3 x 4"], "x"),
        (["run", "--prompt", "3 77"], "77"),
        (["run", "--prompt", "3 [MASK]"], "[MASK]"),
        (["run", "--prompt", "1 " * 30], "30"),
        (["run", "--prompt", "1", "--num", "2"], "exclude each other"),
        (["run", "--num", "0"], "num"),
        (["run", "--checkpoint", "3"], "no checkpoint '3'"),
        (["run", "predictor.stepz=3"], "stepz"),
        (["run", "stepz"], "not an override"),
        (["run", "--out", "toy.yaml"], "toy.yaml already exists"),
        (["run", "--out", "."], ". already exists"),
        (["run", "--out", "toy.yaml/answers.jsonl"], "toy.yaml is a file"),
    ],
)
def test_mistake_is_one_line(run, capsys, arguments, message):
    before = Path("toy.yaml").read_text()
    code, out, err = said(capsys, *arguments)
    assert code in (1, 2)
    assert Path("toy.yaml").read_text() == before
    assert not out  # said before anything is generated
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in out + err


def test_json_has_the_rows_of_the_file(run, capsys):
    code, out, _ = said(
        capsys, "run", "--num", "2", "--format", "json", "--out", "a.jsonl"
    )
    assert code == 0
    written = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert json.loads(out) == written
    assert said(capsys, "run", "--format", "json", "--trace")[0] == 2


def test_prompts_are_read_from_standard_input(run, capsys, monkeypatch):
    words = ("3 8 8 6 3 2 2 1 3 1", "1 2 2 3 1 4 4 5 1 3")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(words) + "\n"))
    code, out, _ = said(capsys, "run", "--prompt", "-", "--format", "json")
    assert code == 0
    assert [row["prompt"] for row in json.loads(out)] == list(words)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, _, err = said(capsys, "run", "--prompt", "-")
    assert (code, "standard input has no prompt" in err) == (2, True)


def test_evaluation_is_json_alone_on_standard_output(run, capsys):
    assert main(["eval", "run", "--limit", "3", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    file = Path("run/results/test-limit=3.json")
    assert found == json.loads(file.read_text())
