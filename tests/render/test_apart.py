"""Untrusted templates run within limits."""

import shutil
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.io import bounded
from xlmgen.render import render_files
from xlmgen.render.apart import render_in_subprocess
from xlmgen.render.files import render_here
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.family import read_family

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own-kind"
TEMPLATE = Path("templates/family/predictor/spaced.py.jinja")
SCHEMA = Path("schemas/kinds/predictor/spaced.schema.json")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Copy the example, and make it the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)
    return folder


def add(line):
    TEMPLATE.write_text(f"{TEMPLATE.read_text('utf-8')}\n{line}\n", "utf-8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}"
            "{% endfor %}",
            "takes longer than",
        ),
        ("{{ 9 ** (9 ** 9) }}", "takes longer than"),
        ('{% set x = "a" * 4000000000 %}{% set y = x ~ x %}', "needs more than"),
        ('{{ "a".ljust(4000000000) }}', "needs more than"),
        ('{{ "%4000000000d" % 1 }}', "needs more than"),
        ('{{ "a"|center(4000000000) }}', "needs more than"),
        ('# {{ "a" * 1000001 }}', "more than 1,000,000 characters"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
    ],
)
def test_endless_template_is_reported(line, said, project, capsys):
    add(line)
    assert main(["check", "comb.yaml"]) == 1
    out = capsys.readouterr().out
    assert f"{TEMPLATE}:" in out
    assert "XG402" in out
    assert said in out
    assert "Traceback" not in out


def test_new_writes_nothing_for_endless_template(project, capsys):
    add('{{ "a" * 4000000000 }}')
    assert main(["new", "comb.yaml"]) == 1
    assert "needs more than 512 MB" in capsys.readouterr().err
    assert not Path("families").exists()


def test_render_in_subprocess_is_equal(project):
    family = read_family("comb.yaml")
    files = render_in_subprocess(family)
    assert files == render_here(family)
    assert files == render_files(family)


def test_built_in_kinds_are_rendered_in_this_process(monkeypatch):
    monkeypatch.setattr(bounded, "call", None)
    family = read_family(ROOT / "families" / "mdlm" / "family.yaml")
    assert len(render_files(family)) == 19


def test_problems_in_subprocess_are_returned(project):
    family = read_family("comb.yaml")
    add("{{ missing }}")
    with pytest.raises(SpecError) as here:
        render_here(family)
    with pytest.raises(SpecError) as apart:
        render_in_subprocess(family)
    assert apart.value.diagnostics == here.value.diagnostics
    assert apart.value.diagnostics[0].excerpt == "{{ missing }}"


def test_invalid_declared_type_is_reported(project, capsys):
    collator = Path("schemas/kinds/collator/mine.schema.json")
    collator.parent.mkdir()
    shipped = (ROOT / "schemas/kinds/collator/masking.schema.json").read_text("utf-8")
    collator.write_text(
        shipped.replace('"masking"', '"mine"').replace('Int[Tensor, \\"B L\\"]', "1 +"),
        "utf-8",
    )
    assert "1 +" in collator.read_text("utf-8")
    own = Path("templates/family/collator/mine.py.jinja")
    own.parent.mkdir()
    own.write_text('"""A collator."""\n')
    text = Path("comb.yaml").read_text("utf-8").replace("kind: masking", "kind: mine")
    Path("comb.yaml").write_text(text, "utf-8")
    assert main(["check", "comb.yaml"]) == 1
    assert "types_comb.py" in capsys.readouterr().out
