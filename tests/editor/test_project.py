"""Editors in a user's project with copies of the schemas."""

import shutil
from pathlib import Path

import pytest

from xlmgen.cli import main

ROOT = Path(__file__).parents[2]
FAMILY = (ROOT / "examples/scout.yaml").read_text("utf-8").partition("\n")[2]
TASK = (ROOT / "xlmgen/tasks/text.yaml").read_text("utf-8").partition("\n")[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a folder with a family and a task, without schemas."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(FAMILY, "utf-8")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "text.yaml").write_text(TASK, "utf-8")
    return tmp_path


def test_editor_uses_schemas_of_project(project, editor):
    assert main(["schemas"]) == 0
    assert main(["check", "--fix", "mine.yaml", "tasks"]) == 0
    assert main(["new", "mine.yaml"]) == 0
    files = sorted(project.rglob("*.yaml"))
    assert len(files) == 9  # two, the copy of one, six experiments
    opened = {path: editor.open(path) for path in files}
    for path, uri in opened.items():
        lines = path.read_text("utf-8").splitlines()
        line = next(i for i, text in enumerate(lines) if text.startswith("spec:"))
        assert "The format of this file" in editor.hover(uri, line, 1), path
        assert editor.diagnostics(uri) == [], path


def test_editor_marks_mistake_in_project(project, editor):
    assert main(["schemas"]) == 0
    assert main(["check", "--fix", "mine.yaml"]) == 0
    text = Path("mine.yaml").read_text("utf-8").replace("weight: sch", "wieght: sch")
    line = text.splitlines().index("loss: {kind: masked, wieght: schedule}") + 1
    uri = editor.open(project / "mine.yaml", text)
    assert [place for place, _ in editor.diagnostics(uri)] == [line]


def test_editor_knows_own_kinds_of_project(tmp_path, monkeypatch, editor):
    project = tmp_path / "own-kind"
    shutil.copytree(ROOT / "examples" / "own-kind", project)
    monkeypatch.chdir(project)
    assert main(["schemas"]) == 0
    assert main(["check", "--fix", "comb.yaml"]) == 0
    text = Path("comb.yaml").read_text("utf-8")
    assert editor.diagnostics(editor.open(project / "comb.yaml", text)) == []
    lines = text.splitlines()
    (line,) = (i for i, line in enumerate(lines) if "kind: spaced" in line)
    wrong = text.replace("kind: spaced", "kind: spaced, stesp: 8")
    uri = editor.open(project / "wrong.yaml", wrong)
    assert [place for place, _ in editor.diagnostics(uri)] == [line + 1]


def test_editor_reports_missing_schemas(project, editor):
    assert main(["new", "mine.yaml"]) == 0
    uri = editor.open(project / "families/scout/experiments/star_tiny.yaml")
    ((_, message),) = editor.diagnostics(uri)
    assert "Unable to load schema" in message
