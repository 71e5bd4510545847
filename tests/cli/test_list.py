"""`xlmgen list`: families with their components and origin, and tasks."""

import pytest

from xlmgen.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XLMGEN_PATH", raising=False)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    return tmp_path


def row(out, name):
    return next(line for line in out.splitlines() if line.split()[:1] == [name])


def test_built_in_families_and_tasks_are_listed(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "causal · transformer · next_token · left_to_right" in row(out, "arlm")
    assert "built in" in row(out, "arlm")
    assert "seq2seq" in row(out, "star_tiny")


def test_shadowed_family_is_shown(here, capsys):
    folder = here / "families" / "arlm"
    folder.mkdir(parents=True)
    (folder / "family.yaml").write_text("title: Mine\nloss: {kind: own}\n")
    main(["list"])
    line = row(capsys.readouterr().out, "arlm")
    assert "Mine" in line
    assert "./families (shadows " in line


def test_invalid_spec_is_listed_as_such(here, capsys):
    folder = here / "families" / "broken"
    folder.mkdir(parents=True)
    (folder / "family.yaml").write_text("title: [\n")
    assert main(["list"]) == 0
    assert "cannot be read" in row(capsys.readouterr().out, "broken")


def test_terminal_shows_table(capsys, monkeypatch):
    monkeypatch.setattr("xlmgen.cli.printing.is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["list"]) == 0
    assert "Masked diffusion language model" in capsys.readouterr().out
