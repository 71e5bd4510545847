"""Stale, edited, missing and extra files are distinguished."""

import json

import pytest

from xlmgen.render import render
from xlmgen.render.drift import drift
from xlmgen.render.plan import LOCK

from .conftest import bring, make_family


@pytest.fixture
def files(family, templates):
    return render(family, templates)


@pytest.fixture
def later(templates):
    return render(make_family(steps=16), templates)


@pytest.fixture
def folder(tmp_path, files):
    path = tmp_path / "families" / "sample"
    bring(path, files)
    return path


def found(folder, files):
    """Return `code file:line` of every problem."""
    return sorted(
        f"{p.code} {p.file.removeprefix(f'{folder}/')}:{p.line}"
        for p in drift(folder, files).problems
    )


def test_new_render_has_no_drift(folder, files):
    without = {path: text for path, text in files.items() if path != LOCK}
    for rendered in (files, without):
        assert drift(folder, rendered).problems == []
        assert drift(folder, rendered).diffs == []


def test_edit_is_a_warning_at_its_first_line(folder, files):
    path = folder / "loss_sample.py"
    path.write_text(path.read_text() + "mine\n")
    result = drift(folder, files)
    assert found(folder, files) == ["XG302 loss_sample.py:3"]
    assert result.problems[0].severity == "warning"
    (diff,) = result.diffs
    assert diff.splitlines()[-1] == "+mine"


def test_changed_spec_makes_files_stale(folder, later):
    (folder / "family.yaml").write_text(later["family.yaml"])
    problems = found(folder, later)
    assert "XG301 loss_sample.py:1" in problems
    assert {problem.split()[0] for problem in problems} == {"XG301"}
    assert not any("family.lock" in problem for problem in problems)
    diff = drift(folder, later).diffs[0]
    assert "-# sample Sample 8" in diff
    assert "+# sample Sample 16" in diff


def test_edited_file_of_changed_spec_is_edited_and_stale(folder, later):
    (folder / "family.yaml").write_text(later["family.yaml"])
    (folder / "loss_sample.py").write_text("mine\n")
    codes = [p.split()[0] for p in found(folder, later) if " loss_sample" in p]
    assert codes == ["XG301", "XG302"]


def test_missing_and_extra_files_are_reported(folder, files):
    (folder / "loss_sample.py").unlink()
    (folder / "helper.py").write_text("")
    (folder / "tests" / "test_mine.py").write_text("")
    for free in ("experiments/plot.py", "docs/x.py", "__pycache__/y.py", "notes.txt"):
        path = folder / free
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert found(folder, files) == [
        "XG303 loss_sample.py:1",
        "XG304 helper.py:1",
        "XG304 tests/test_mine.py:1",
    ]


def test_unrendered_folder_is_one_problem(tmp_path, files):
    folder = tmp_path / "sample"
    folder.mkdir()
    (folder / "family.yaml").write_text(files["family.yaml"])
    assert found(folder, files) == ["XG303 family.yaml:1"]


@pytest.mark.parametrize("content", ["{}", "not json", '{"lock": "xlmgen/lock/v9"}'])
def test_damaged_lock_is_one_problem(folder, files, content):
    (folder / "family.lock").write_text(content)
    assert found(folder, files) == ["XG305 family.lock:1"]


def test_equal_render_of_other_version_has_no_drift(folder, files):
    lock = json.loads((folder / "family.lock").read_text())
    lock["xlmgen"] = "99.0"
    (folder / "family.lock").write_text(json.dumps(lock, indent=2) + "\n")
    assert found(folder, files) == []


def test_missing_lock_is_reported(folder, files):
    (folder / LOCK).unlink()
    assert found(folder, files) == ["XG303 family.lock:1"]


def test_stale_lock_is_reported(folder, later):
    for path, text in later.items():
        if path != "family.lock":
            (folder / path).write_text(text)
    assert found(folder, later) == ["XG301 family.lock:1"]


def test_file_no_longer_rendered_is_stale(folder, files):
    fewer = {path: text for path, text in files.items() if path != "model_sample.py"}
    assert "XG301 model_sample.py:1" in found(folder, fewer)


def test_comparing_changes_nothing(folder, later):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    drift(folder, later)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
