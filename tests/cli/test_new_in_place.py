"""`xlmgen new` of a family.yaml in a rendered family renders it in place."""

from pathlib import Path

import pytest

from xlmgen.cli import main

SPEC = Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml"


@pytest.fixture
def family(tmp_path, monkeypatch):
    """Make a rendered family outside ./families with a changed YAML."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", str(SPEC), "--out", "mine"]) == 0
    spec = tmp_path / "mine" / "mdlm" / "family.yaml"
    spec.write_text(spec.read_text().replace("steps: 128", "steps: 77"))
    return spec.parent


@pytest.mark.parametrize("inside", [True, False])
def test_family_is_rendered_in_folder_of_its_yaml(family, monkeypatch, inside):
    if inside:
        monkeypatch.chdir(family)
    assert main(["new", "family.yaml" if inside else "mine/mdlm/family.yaml"]) == 0
    assert "steps: int = 77" in (family / "predictor_mdlm.py").read_text()
    assert not list(family.parents[1].rglob("families"))
    assert main(["check", str(family)]) == 0


def test_out_takes_precedence(family):
    assert main(["new", str(family / "family.yaml"), "--out", "other"]) == 0
    assert "steps: int = 128" in (family / "predictor_mdlm.py").read_text()
    rendered = family.parents[1] / "other" / "mdlm" / "predictor_mdlm.py"
    assert "steps: int = 77" in rendered.read_text()


def test_diff_omits_lock(family, capsys):
    capsys.readouterr()
    assert main(["new", str(family / "family.yaml"), "--diff"]) == 0
    out = capsys.readouterr().out
    assert "+        steps: int = 77," in out
    assert "family.lock" not in out
