"""`xlmgen migrate`: rewritten files and reports."""

from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.io import files
from xlmgen.spec.migrations import MIGRATIONS

SPEC = Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """Make a family of a fictitious version that counts steps in fours."""

    def first(data):
        data["predictor"]["steps"] = 4 * data["predictor"].pop("fours")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(MIGRATIONS, ("family", 0), first)
    text = SPEC.read_text("utf-8").replace("steps: 128", "fours: 32")
    Path("old.yaml").write_text(text.replace("family/v1", "family/v0"), "utf-8")
    return Path("old.yaml")


def test_rewritten_file_passes_check(old, capsys):
    assert main(["check", "old.yaml"]) == 1
    assert "run `xlmgen migrate old.yaml`" in capsys.readouterr().out
    old.chmod(0o640)
    assert main(["migrate", "old.yaml"]) == 0
    assert capsys.readouterr().out == "old.yaml: rewritten\n"
    assert old.read_text("utf-8") == SPEC.read_text("utf-8")
    assert old.stat().st_mode & 0o777 == 0o640
    assert main(["check", "old.yaml"]) == 0
    assert [path.name for path in Path().iterdir()] == ["old.yaml"]


def test_diff_writes_nothing(old, capsys):
    before = old.read_bytes()
    assert main(["migrate", "old.yaml", "--diff"]) == 0
    out = capsys.readouterr().out
    assert "-spec: xlmgen/family/v0" in out
    assert "+predictor: {kind: unmasking, order: random, steps: 128}" in out
    assert old.read_bytes() == before


def test_link_is_followed(old):
    Path("link.yaml").symlink_to("old.yaml")
    assert main(["migrate", "link.yaml"]) == 0
    assert Path("link.yaml").is_symlink()
    assert old.read_text("utf-8") == SPEC.read_text("utf-8")


def test_every_file_is_reported(old, capsys):
    Path("newer.yaml").write_text("spec: xlmgen/task/v9\n")
    command = ["migrate", str(SPEC), "newer.yaml", "nope.yaml", "old.yaml"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{SPEC}: current\nold.yaml: rewritten\n"
    assert "newer.yaml:1:7  XG100" in captured.err
    assert "upgrade xlmgen" in captured.err
    assert "nope.yaml:1:1  XG001" in captured.err


def test_full_disk_leaves_file_unchanged(old, monkeypatch, capsys):
    before = old.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.shutil, "copymode", full)
    assert main(["migrate", "old.yaml"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert old.read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["old.yaml"]
