"""What a shell completes, and that a program can read the output of commands."""

import json
from pathlib import Path

import pytest

from xlmgen.cli import command_line, completion, main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    for file in (
        "experiments/graphs.yaml",
        "families/mine/family.yaml",
        "runs/mdlm-one/experiment.yaml",
        "other/run/experiment.yaml",
        "runs/notes/file.txt",
        "graph.yaml",
        "graph.txt",
    ):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("title: Mine\n")


@pytest.mark.parametrize(
    ("complete", "incomplete", "expected"),
    [
        (completion.experiments, "gra", ["graphs", "graph.yaml"]),
        (completion.experiments, "mdlm/star_t", ["mdlm/star_tiny"]),
        (completion.experiments, "experiments/", ["experiments/graphs.yaml"]),
        (completion.runs, "ru", ["runs/mdlm-one"]),
        (completion.runs, "other/", ["other/run/"]),
        (completion.families, "families/", ["families/mine"]),
        (completion.overrides, "training.max", ["training.max_steps="]),
        (completion.overrides, "family=mdl", ["family=mdlm"]),
        (completion.overrides, "task=star_t", ["task=star_tiny"]),
        (completion.overrides, "training.seed=", []),
        (completion.overrides, "predictor.top_p", ["predictor.top_p="]),
        (completion.predictor_overrides, "predictor.top_p", ["predictor.top_p="]),
        (completion.predictor_overrides, "training.", []),
        (completion.explained, "loss.we", ["loss.weight"]),
        (completion.explained, "experiment.ta", ["experiment.task"]),
    ],
)
def test_names_that_begin_so_are_completed(complete, incomplete, expected):
    assert complete(incomplete) == expected


def test_every_completed_key_of_an_experiment_is_accepted(monkeypatch):
    """`explain` knows it, so that no key is offered that has no meaning."""
    for word in completion.overrides(""):
        key = word.removesuffix("=")
        file = "family" if key.startswith("predictor.") else "experiment"
        assert main(["explain", f"{file}.{key}"]) == 0


def test_shell_asks_the_command_line(monkeypatch, capsys):
    words = {"_XLMGEN_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    for name, value in {**words, "COMP_WORDS": "xlmgen resolve mdlm/star_ti"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        command_line()([], prog_name="xlmgen")
    assert capsys.readouterr().out.split() == ["mdlm/star_tiny"]


def read(capsys, *words):
    assert main([*words, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_explain_and_resolve_are_json(capsys, monkeypatch):
    Path("families/mine/family.yaml").unlink()
    found = read(capsys, "list")
    names = {row["name"]: row for row in found["families"]}
    assert names["arlm"]["components"].startswith("causal · ")
    assert {"name", "title", "layout", "from"} == set(found["tasks"][0])
    (key,) = read(capsys, "explain", "loss.weight")
    assert key["allowed"] == ["none", "schedule", "context", "schedule_context"]
    assert key["default"] == "none"
    assert read(capsys, "explain", "XG104")["severity"] == "error"
    found = read(capsys, "resolve", "mdlm/star_tiny", "training.seed=7")
    assert found["experiment"]["training"]["seed"] == 7
    assert found["origins"]["training.seed"] == "command line"
