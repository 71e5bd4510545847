"""`xlmgen check --fix` fixes unambiguous mistakes only."""

import os
import shutil
from pathlib import Path

import pytest

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.spec.messages import certain

GOOD = (Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml").read_text(
    "utf-8"
)
FILE = Path("mine.yaml")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fixed(text, code=0):
    """Run `--fix`, check its exit code, and return the file's text."""
    FILE.write_text(text, "utf-8", newline="")
    assert main(["check", "mine.yaml", "--fix"]) == code
    return FILE.read_bytes().decode("utf-8")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("weight: schedule", "weight: schedul"),
        ("weight: schedule", "wieght: schedule"),
        ("weight: schedule", "weight: 'Schedule'"),
        ("kind: masked, weight", "kind: maskd, weigth"),
        ("padding: predict", "paddng: predict"),
        ("rate: schedule", 'rate: "shedule"'),
        ("predictor:", "predicter:"),
        ("sampling_eps:", '"sampling-eps":'),
        ("attention: bidirectional", "attention: bi-directional"),
    ],
)
def test_obvious_typo_is_fixed(good, bad, capsys):
    comment = "# why: déjà vu ☃\n"
    before = GOOD.replace("sizes:\n", f"{comment}sizes:   # a size\n")
    quoted = bad[-1] in "'\"" or bad[0] in "'\""
    after = fixed(before.replace(good, bad))
    assert comment in after
    assert "sizes:   # a size" in after
    if quoted:
        after = after.replace("'", "").replace('"', "")
    assert after == before
    out = capsys.readouterr().out
    assert "fixed mine.yaml:" in out
    assert out.endswith("1 file checked: no problems\n")


def test_fixes_are_shown(capsys):
    fixed(GOOD.replace("weight: schedule", "wieght: schedul"))
    assert capsys.readouterr().out.splitlines()[:2] == [
        "fixed mine.yaml:12  loss: 'wieght' → 'weight'",
        "fixed mine.yaml:12  loss.weight: 'schedul' → 'schedule'",
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "weight: eldo",  # like nothing that is allowed
        "weight: *x",
        "weight: 3",
        "wait: schedule",
        "weight: [schedul]",
        "weight: schedule, weigth: schedule",  # the key is there already
        "weight: !!str schedul",
    ],
)
def test_uncertain_typo_is_not_fixed(bad):
    text = GOOD.replace("weight: schedule", bad)
    assert fixed(text, code=1) == text


def test_two_equally_similar_candidates_are_not_fixed():
    assert certain("masked_x", ["masked_a", "masked_b"]) == ""
    assert certain("tes", ["test", "tesa"]) == ""
    assert certain("schedul", ["schedule", "none"]) == "schedule"
    assert certain("A-b", ["a_b", "a_c"]) == "a_b"
    assert certain("ab", ["Ab", "aB"]) == ""
    assert certain(3, ["a"]) == ""
    assert certain("a", []) == ""


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_byte_order_mark_are_kept(bom, end):
    text = bom + GOOD.replace("\n", end)
    assert fixed(text.replace("weight: schedule", "weight: schedul")) == text


def test_file_without_mistakes_is_not_written():
    FILE.write_text(GOOD)
    os.utime(FILE, ns=(1, 1))
    assert main(["check", "mine.yaml", "--fix"]) == 0
    assert FILE.stat().st_mtime_ns == 1


def test_target_of_link_is_fixed_with_its_permissions():
    target = Path("target.yaml")
    target.write_text(GOOD.replace("weight: schedule", "weight: schedul"))
    target.chmod(0o640)
    FILE.symlink_to(target)
    assert main(["check", "mine.yaml", "--fix"]) == 0
    assert FILE.is_symlink()
    assert target.read_text() == GOOD
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in Path().iterdir()) == ["mine.yaml", "target.yaml"]


def test_file_that_is_not_yaml_is_unchanged():
    text = GOOD + "a: [\n"
    assert fixed(text, code=1) == text


def test_schema_line_is_added_if_project_has_schemas(capsys):
    text = GOOD.partition("\n")[2]
    assert fixed(text) == text
    shutil.copytree(resources.root() / "schemas", "schemas")
    line = "# yaml-language-server: $schema=schemas/family.schema.json\n"
    assert fixed(text) == line + text
    for mark in ("", "\ufeff"):
        assert fixed(mark + line + text) == mark + line + text
    windows = text.replace("\n", "\r\n")
    assert fixed(windows) == line.replace("\n", "\r\n") + windows


def test_no_schema_line_is_added_to_rendered_family(capsys):
    shutil.copytree(resources.root() / "schemas", "schemas")
    text = GOOD.partition("\n")[2]
    FILE.write_text(text)
    assert main(["new", "mine.yaml"]) == 0
    assert main(["check", "--fix", "families"]) == 0
    assert Path("families/mdlm/family.yaml").read_text() == text


def test_machine_formats_print_nothing_else(capsys):
    FILE.write_text(GOOD.replace("weight: schedule", "weight: schedul"))
    assert main(["check", "mine.yaml", "--fix", "--format", "json"]) == 0
    said = capsys.readouterr()
    assert said.out == "[]\n"
    assert "fixed mine.yaml:12" in said.err


def test_unwritable_file_is_one_line(capsys, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    FILE.write_text(GOOD.replace("weight: schedule", "weight: schedul"))
    assert main(["check", "mine.yaml", "--fix"]) == 2
    error = capsys.readouterr().err
    assert "cannot write mine.yaml: Permission denied" in error
    assert error.count("\n") == 1
