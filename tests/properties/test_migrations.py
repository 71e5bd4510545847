"""`migrate` changes only the lines of its migrations."""

import re
from pathlib import Path

import pytest
from hypothesis import event, given, note

from xlmgen.spec.load import load_yaml
from xlmgen.spec.migrations import MIGRATIONS

from .conftest import few, run
from .test_fixes import dressed
from .test_texts import FILE, texts


@pytest.fixture
def version_0(monkeypatch):
    """Add a fictitious version of families that counts steps in fours."""

    def first(data):
        predictor = data.get("predictor")
        if isinstance(predictor, dict) and isinstance(predictor.get("fours"), int):
            predictor["steps"] = 4 * predictor.pop("fours")

    monkeypatch.setitem(MIGRATIONS, ("family", 0), first)


def older(text: str) -> str:
    return text.replace("steps: 128", "fours: 32").replace("family/v1", "family/v0")


def changed(line: str) -> bool:
    return bool(re.match(r"\ufeff?(spec|predictor):", line))


@few(30)
@given(new=dressed(blanks=("",)))
@pytest.mark.usefixtures("version_0")
def test_unmigrated_lines_are_kept(here, new):
    note(new)
    Path(FILE).write_bytes(older(new).encode())
    assert run("migrate", FILE) == (0, f"{FILE}: rewritten\n")
    content = Path(FILE).read_bytes()
    after = content.decode()
    assert after.startswith("\ufeff") == new.startswith("\ufeff")
    assert ("\r\n" in new) == ("\r\n" in after)
    assert after.count("\n") == new.count("\n")
    assert "\r" not in after.replace("\r\n", "")
    for old, line in zip(new.split("\n"), after.split("\n"), strict=True):
        assert line == old or changed(old)
        assert line.split("#")[1:] == old.split("#")[1:]
    assert load_yaml(FILE, after).data == load_yaml(FILE, new).data
    assert run("migrate", FILE) == (0, f"{FILE}: current\n")
    assert Path(FILE).read_bytes() == content


@few(50)
@given(content=texts())
@pytest.mark.usefixtures("version_0")
def test_any_older_text_is_rewritten_or_unchanged(here, content):
    content = content.replace(b"family/v1", b"family/v0")
    note(content)
    Path(FILE).write_bytes(content)
    before = load_yaml(FILE).data
    code, said = run("migrate", FILE)
    event(said.split(": ")[-1][:20] if code == 0 else f"exit {code}")
    after = Path(FILE).read_bytes()
    assert "Traceback" not in said
    if "rewritten" not in said:
        assert after == content
    else:
        data = load_yaml(FILE).data
        ignored = ("spec", "predictor")
        assert {k: v for k, v in data.items() if k not in ignored} == {
            k: v for k, v in before.items() if k not in ignored
        }
        assert run("migrate", FILE) == (0, f"{FILE}: current\n")


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.usefixtures("version_0")
def test_migrated_first_line_keeps_byte_order_mark_and_line_ends(here, bom, end):
    lines = ["spec: xlmgen/family/v1", "predictor: {kind: unmasking, steps: 128}", ""]
    new = bom + end.join(lines)
    Path(FILE).write_bytes(older(new).encode())
    assert run("migrate", FILE)[0] == 0
    assert Path(FILE).read_bytes() == new.encode()
