"""`check --fix` changes words only, and a second run changes nothing."""

import re
from pathlib import Path

from hypothesis import event, given, note
from hypothesis import strategies as st

from xlmgen.spec.discover import guess_kind
from xlmgen.spec.fixes import fix_document
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate

from .conftest import SPECS, few, run
from .test_texts import FILE, texts

GOOD = (SPECS / "mdlm.yaml").read_text("utf-8")
WORD = re.compile(r"\b[a-z_]{5,}\b")
COMMENTS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12)
BLOCK = """\
spec: xlmgen/family/v1
name: mdlm
title: A family
collator: &c {kind: masking, rate: schedule}
noise_schedule: {kind: linear}
model: {kind: transformer, attention: bidirectional}
sizes: {tiny: {d_model: 8, layers: 1, num_heads: 2}}
loss:
  kind: masked
  weight: WEIGHT
predictor: {kind: unmasking}
"""


def problems(document):
    return validate(document, guess_kind(document))


@st.composite
def dressed(draw, blanks: tuple[str, ...] = ("", "   ")) -> str:
    """Draw the valid spec with comments, blanks, quotes and line ends."""
    lines = GOOD.splitlines()
    for at in draw(st.lists(st.integers(0, len(lines) - 1), max_size=5)):
        lines[at] += f"  # é {draw(COMMENTS)}"
    for at in sorted(draw(st.lists(st.integers(1, len(lines)), max_size=3)))[::-1]:
        lines.insert(at, draw(st.sampled_from((*blanks, "# 語 a comment"))))
    text = draw(st.sampled_from(("\n", "\r\n"))).join([*lines, ""])
    return draw(st.sampled_from(("", "\ufeff"))) + text


@st.composite
def misspelt(draw, text: str) -> str:
    """Remove, double or change one letter of some words."""
    code = [
        m for m in WORD.finditer(text) if "#" not in text[: m.start()].splitlines()[-1]
    ]
    chosen = draw(st.lists(st.sampled_from(code), min_size=1, max_size=3, unique=True))
    for match in sorted(chosen, key=lambda m: -m.start()):
        at = draw(st.integers(match.start() + 1, match.end() - 1))
        new = draw(st.sampled_from(("", text[at] * 2, "q", text[at].upper())))
        text = text[:at] + new + text[at + 1 :]
    return text


@few(60)
@given(data=st.data())
def test_misspelt_word_is_fixed_or_unchanged(here, data):
    good = data.draw(dressed())
    bad = data.draw(misspelt(good))
    note(bad)
    Path(FILE).write_bytes(bad.encode())
    code, said = run("check", "--fix", FILE)
    after = Path(FILE).read_bytes().decode()
    fixes = re.findall(r"fixed .*'(.+)' → '(.+)'", said)
    event(f"{len(fixes)} fixes")
    expected = bad
    for old, new in fixes:
        assert re.search(rf"(?<!\w){re.escape(old)}(?!\w)", expected)
        assert new in GOOD or code == 1
        expected = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new, expected, count=1)
    assert after == expected
    if code == 0 and not re.search(
        r"name: (?!mdlm\b)|title|papers|summary", bad + good
    ):
        assert after == good
    assert run("check", "--fix", FILE)[1].count("fixed") == 0
    assert Path(FILE).read_bytes().decode() == after


@few(150)
@given(content=texts())
def test_fixing_any_text_removes_problems(content):
    before = load_yaml(FILE, content.decode("utf-8", "replace"))
    after, fixes = fix_document(before, problems)
    assert (after.text == before.text) == (not fixes)
    assert fix_document(after, problems) == (after, [])
    if fixes:
        event("fixed")
        note([fix.text for fix in fixes])
        assert before.data is not None
        assert len(after.lines) == len(before.lines)
        touched = {fix.line for fix in fixes}
        for number, lines in enumerate(zip(before.lines, after.lines, strict=True), 1):
            assert lines[0] == lines[1] or number in touched


def fixed(text: str) -> str:
    return fix_document(load_yaml(FILE, text), problems)[0].text


def test_value_of_several_lines_is_not_replaced():
    for value in (
        ">-\n    schedul",
        '"sche\\\n    dul"',
        '"sched\\u0075l"',
        "&w schedul",
    ):
        text = BLOCK.replace("WEIGHT", value)
        assert fixed(text) == text
    assert fixed(BLOCK.replace("WEIGHT", "schedul")) == BLOCK.replace(
        "WEIGHT", "schedule"
    )


def test_word_used_by_alias_is_unchanged():
    """A value may be wrong in one place and right in the other."""
    head, _, _ = BLOCK.partition("loss:")
    bad = head.replace("rate: schedule", "rate: schedul")
    alone = bad + "loss: {kind: masked}\npredictor: {kind: unmasking}\n"
    assert fixed(alone) == alone.replace("schedul}", "schedule}")
    shared = bad + "loss: *c\npredictor: {kind: unmasking}\n"
    assert fixed(shared) == shared
