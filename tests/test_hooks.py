"""The hooks for pre-commit: which files they get, and what they do with them."""

import re
import shlex

import pytest
import yaml

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.render.plan import EXPERIMENTS
from xlmgen.render.starters import starters

HOOKS = {
    hook["id"]: hook
    for hook in yaml.safe_load(
        (resources.root() / ".pre-commit-hooks.yaml").read_text("utf-8")
    )
}
SPECS = {
    "families/mine/family.yaml",
    "tasks/graphs.yaml",
    "experiments/graphs.yaml",
    *(f"families/mine/experiments/{name}.yaml" for name in EXPERIMENTS),
}


def matched(hook, paths):
    """The files that pre-commit gives to a hook."""
    return {path for path in paths if re.search(hook["files"], path)}


def run(hook, paths):
    program, *words = shlex.split(hook["entry"])
    assert program == "xlmgen"
    return main([*words, *paths])


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    return tmp_path


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_hooks_check_and_fix():
    assert list(HOOKS) == ["xlmgen-check", "xlmgen-fix"]
    for hook in HOOKS.values():
        assert {"id", "name", "description", "entry", "language", "files"} <= set(hook)
    assert HOOKS["xlmgen-fix"]["require_serial"] is True


def test_documented_hook_equals_shipped_one():
    page = (resources.root() / "docs" / "review.md").read_text("utf-8")
    shown = page.partition("## Before a commit")[2].split("```")[1]
    (repository,) = yaml.safe_load(shown.removeprefix("yaml"))["repos"]
    (hook,) = repository["hooks"]
    assert hook.items() <= HOOKS["xlmgen-check"].items()


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_match_specs_only(name):
    hook = HOOKS[name]
    assert matched(hook, starters("mine")) == SPECS
    assert matched(hook, {"lab/tasks/a.yml"}) == {"lab/tasks/a.yml"}
    others = {"a.yaml", "mytasks/a.yaml", "tasks/a.yaml.bak", "families/family.yaml"}
    assert matched(hook, others) == set()


@pytest.mark.parametrize("name", HOOKS)
def test_new_project_passes(lab, name):
    before = {path: (lab / path).read_bytes() for path in SPECS}
    assert run(HOOKS[name], sorted(SPECS)) == 0
    assert {path: (lab / path).read_bytes() for path in SPECS} == before


def test_problem_fails_and_misspelt_word_is_fixed(lab, capsys):
    task = lab / "tasks" / "graphs.yaml"
    edit(task, "layout: seq2seq", "layout: seq2sek")
    assert run(HOOKS["xlmgen-check"], ["tasks/graphs.yaml"]) == 1
    assert "tasks/graphs.yaml:14:9  XG104" in capsys.readouterr().out
    assert run(HOOKS["xlmgen-fix"], ["tasks/graphs.yaml"]) == 0
    assert "layout: seq2seq\n" in task.read_text("utf-8")


def test_stale_render_fails(lab, capsys):
    edit(lab / "families/mine/family.yaml", "steps: 5", "steps: 6")
    assert run(HOOKS["xlmgen-check"], ["families/mine/family.yaml"]) == 1
    assert "predictor_mine.py" in capsys.readouterr().out
