"""Fixes lose nothing, for any text."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from xlmgen.spec.fixes import fix_document
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate

GOOD = (Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml").read_text(
    "utf-8"
)
COMMENTED = GOOD.replace("\n", "  # ü 'why' {a: b}\n")


def problems(document):
    return validate(document, "family")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(COMMENTED) - 1),
            st.sampled_from(
                ["", "x", "_", "-", "'", "\u2028", "☃", "\r\n", "  ", "&a "]
            ),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_fix_changes_words_only_and_adds_no_problems(edits):
    text = COMMENTED
    for place, inserted, removed in edits:
        text = text[:place] + inserted + text[place + removed :]
    document = load_yaml("mine.yaml", text)
    before = problems(document)
    fixed, done = fix_document(document, problems)
    assert bool(done) == (fixed.text != text)
    words = re.compile(r"[\w -]+")
    assert words.sub("", fixed.text) == words.sub("", text)
    after = problems(fixed)
    if done:
        told = {(p.code, p.path) for p in before if p.edit}
        assert told - {(p.code, p.path) for p in after}


def test_second_fix_changes_nothing():
    text = GOOD.replace(
        "kind: masked, weight: schedule", "kind: maskd, weigth: schedul"
    )
    once, done = fix_document(load_yaml("mine.yaml", text), problems)
    assert (once.text, len(done)) == (GOOD, 3)
    assert fix_document(once, problems) == (once, [])
