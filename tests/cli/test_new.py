"""`xlmgen new`: written files, output and refusals."""

import subprocess
import sys
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.render import render
from xlmgen.spec.family import read_family

SPECS = Path(__file__).parents[1] / "specs" / "positive"
SPEC = SPECS / "mdlm.yaml"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def listed(out):
    """Parse the paths of a listing and the word for each."""
    rows = [line.split(maxsplit=1) for line in out.splitlines() if line[:2] == "  "]
    return {row[0]: row[1] for row in rows if row[0] not in ("pytest", "xlmgen")}


def test_new_writes_exactly_the_render(here):
    assert main(["new", str(SPEC)]) == 0
    rendered = render(read_family(SPEC))
    assert files(here / "families" / "mdlm") == {
        path: text.encode() for path, text in rendered.items()
    }


def test_out_is_the_parent_folder(here):
    assert main(["new", str(SPEC), "--out", "a/b"]) == 0
    assert (here / "a" / "b" / "mdlm" / "__init__.py").is_file()
    assert not (here / "families").exists()


def test_dry_run_lists_exactly_the_written_files(here, capsys):
    assert main(["new", str(SPEC), "--dry-run"]) == 0
    promised = listed(capsys.readouterr().out)
    assert list(here.iterdir()) == []
    assert main(["new", str(SPEC)]) == 0
    assert listed(capsys.readouterr().out) == promised
    assert set(promised) == set(files(here / "families" / "mdlm"))
    assert set(promised.values()) == {"new"}


def test_dry_run_fails_as_the_run_does(here, capsys):
    (here / "file").write_text("mine")
    for words in (["--dry-run"], []):
        assert main(["new", str(SPEC), "--out", "file/x", *words]) == 2
        assert capsys.readouterr().out == ""
    assert (here / "file").read_text() == "mine"


def test_second_run_reports_no_changes(here, capsys):
    main(["new", str(SPEC)])
    before = files(here)
    capsys.readouterr()
    assert main(["new", str(SPEC)]) == 0
    assert set(listed(capsys.readouterr().out).values()) == {"unchanged"}
    assert files(here) == before


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_edit_is_never_overwritten(here, capsys, option):
    main(["new", str(SPEC)])
    edited = here / "families" / "mdlm" / "loss_mdlm.py"
    edited.write_text("mine\n")
    before = files(here)
    capsys.readouterr()
    assert main(["new", str(SPEC), *option]) == 1
    error = capsys.readouterr().err
    assert "families/mdlm/loss_mdlm.py (edited)" in error
    assert "`xlmgen update families/mdlm`, which merges" in error
    assert files(here) == before


def test_update_is_not_suggested_for_other_spec(here, capsys):
    main(["new", str(SPEC)])
    (here / "families" / "mdlm" / "loss_mdlm.py").write_text("mine\n")
    changed = here / "changed.yaml"
    changed.write_text(SPEC.read_text().replace("steps: 128", "steps: 64"))
    capsys.readouterr()
    assert main(["new", str(changed)]) == 1
    assert "rename or delete" in capsys.readouterr().err


def test_suggested_fix_works(here):
    main(["new", str(SPEC)])
    edited = here / "families" / "mdlm" / "loss_mdlm.py"
    edited.write_text("mine\n")
    edited.rename(edited.with_suffix(".mine"))
    assert main(["new", str(SPEC)]) == 0
    assert edited.read_text() != "mine\n"


def test_diff_shows_changes_and_writes_nothing(here, capsys):
    main(["new", str(SPEC)])
    before = files(here)
    changed = here / "changed.yaml"
    changed.write_text(SPEC.read_text().replace("steps: 128", "steps: 64"))
    capsys.readouterr()
    assert main(["new", str(changed), "--diff"]) == 0
    out = capsys.readouterr().out
    assert "+predictor: {kind: unmasking, order: random, steps: 64}" in out
    assert "+++ families/mdlm/family.yaml" in out
    changed.unlink()
    assert files(here) == before


def test_printed_next_steps_are_correct(here, capsys):
    main(["new", str(SPEC), "--out", "mine"])
    out = capsys.readouterr().out
    experiment = Path("mine/mdlm/experiments/star_tiny.yaml")
    assert f"xlmgen train {experiment}" in out
    assert "pytest mine/mdlm" in out
    assert main(["check", str(experiment)]) == 0


def test_folder_that_cannot_be_created_is_one_line(here, capsys):
    Path("families").write_text("a file\n")
    assert main(["new", str(SPEC)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert Path("families").read_text() == "a file\n"


def test_missing_file_is_one_line(capsys):
    assert main(["new", "nope.yaml"]) == 1
    assert "nope.yaml:1:1  XG001" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a", "my_family", "a" * 32, "x_" * 15 + "x1"])
@pytest.mark.parametrize("spec", sorted(SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_render_of_any_name_is_formatted_and_passes_linter(here, spec, name):
    own = read_family(spec).name
    Path("x.yaml").write_text(spec.read_text().replace(f"name: {own}", f"name: {name}"))
    assert main(["new", "x.yaml"]) == 0
    folder = here / "families" / name
    for command in (["format", "--check"], ["check", "--select", "E4,E7,E9,E501,F"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--diff", folder],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_texts_of_spec_are_quoted_in_code(here):
    """A title and a summary with code are quoted in the files."""
    evil = '\\"\\"\\"; import os; os.makedirs(\\"owned\\") #'
    text = SPEC.read_text().replace(
        "title: Masked diffusion language model",
        f'title: "{evil}"\nsummary: "{evil} {{{{ 7 * 7 }}}} {{% raw %}} \\\\"',
    )
    Path("x.yaml").write_text(text)
    assert main(["new", "x.yaml"]) == 0
    for path in (here / "families").rglob("*.py"):
        source = path.read_text()
        compile(source, str(path), "exec")
        assert "49" not in source
    init = (here / "families" / "mdlm" / "__init__.py").read_text()
    assert "{{ 7 * 7 }}" in init
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import xlmgen.families.mdlm as m; print(m.FAMILY.name)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "mdlm\n"
    assert not (here / "owned").exists()
