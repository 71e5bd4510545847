"""`xlmgen explain`: every key of every schema, and every code."""

from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.spec.code_pages import PAGES
from xlmgen.spec.diagnostics import CODES
from xlmgen.spec.explain import explain
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate

GOOD = (Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml").read_text(
    "utf-8"
)


def said(capsys, path):
    assert main(["explain", path]) == 0
    return capsys.readouterr().out


def test_key_is_shown_with_all_of_its_schema(capsys):
    out = said(capsys, "predictor.order")
    assert "family.predictor.order" in out
    assert "default   'random'" in out
    assert "'random', 'top_prob', 'margin', 'entropy'" in out
    assert "exact" in out


def test_range_and_type_are_shown(capsys):
    out = said(capsys, "model.dropout")
    assert "a number ≥ 0 and < 1" in out
    assert "default   0.0" in out


def test_alternatives_are_shown_in_words(capsys):
    out = said(capsys, "collator.rate")
    assert "'schedule', a number > 0 and < 1 or a mapping with uniform" in out


def test_required_key_is_marked(capsys):
    assert "it is required" in said(capsys, "model.attention")


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("family.loss", "family.loss"),
        ("loss.weight", "family.loss.weight"),
        ("loss.masked", "family.loss.masked"),
        ("loss.masked.weight", "family.loss.masked.weight"),
        ("predictor.unmasking.remask.eta", "family.predictor.unmasking.remask.eta"),
        ("sizes.tiny.num_heads", "family.sizes.tiny.num_heads"),
        ("experiment.training.max_steps", "experiment.training.max_steps"),
        ("training.max_steps", "experiment.training.max_steps"),
        ("task.layout", "task.layout"),
        ("papers[0]", "family.papers"),
        ("unmasking", "family.predictor.unmasking"),
        ("unmasking.remask.eta", "family.predictor.unmasking.remask.eta"),
        ("star.arms", "task.source.star.arms"),
    ],
)
def test_short_paths_are_accepted(path, full):
    assert explain(path)[0].path == full


def test_key_of_several_kinds_is_shown_for_each():
    told = {e.kind for e in explain("predictor.temperature")}
    assert told >= {"left_to_right", "unmasking"}
    assert [e.kind for e in explain("predictor.unmasking.temperature")] == ["unmasking"]


def test_mapping_lists_its_keys(capsys):
    out = said(capsys, "noise_schedule")
    assert "polynomial.exponent" in out
    assert "sizes" in said(capsys, "family")
    assert "training" in said(capsys, "experiment")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("predictr", "did you mean 'predictor'?"),
        ("predictor.ordr", "did you mean 'order'?"),
        ("loss.weight.x", "it is a plain value"),
        ("experiment.training.max_step", "did you mean 'max_steps'?"),
        ("XG999", "there is no code XG999; codes: XG001, XG002, "),
    ],
)
def test_unknown_path_is_one_line_with_suggestion(capsys, path, answer):
    assert main(["explain", path]) == 2
    error = capsys.readouterr().err
    assert answer in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_explained(capsys, code):
    assert CODES[code].meaning in said(capsys, code.lower())


@pytest.mark.parametrize("code", sorted(CODES))
def test_example_of_every_code_is_correct(code):
    """Its wrong lines give the code, and its right ones are part of a valid spec."""
    page = PAGES[code]
    assert page.about.endswith(".")
    assert page.fix.endswith(".")
    if not page.wrong:
        return
    assert GOOD.count(page.right) >= 1
    assert not validate(load_yaml("good.yaml", GOOD), "family")
    bad = GOOD.replace(page.right, page.wrong, 1)
    assert code in {p.code for p in validate(load_yaml("bad.yaml", bad), "family")}


def test_every_page_has_a_code():
    assert list(PAGES) == list(CODES)


def test_page_shows_its_example(capsys):
    out = said(capsys, "XG104")
    assert "  wrong  loss: {kind: masked, weight: schedul}\n" in out
    assert "  right  loss: {kind: masked, weight: schedule}\n" in out
    assert "--fix" in out


def test_every_key_can_be_explained():
    """Each listed child is found by its path and has a description."""
    seen = 0
    stack = explain("")
    while stack:
        for child in stack.pop().children:
            seen += 1
            assert child.description
            assert child.type
            if "<name>" not in child.path:
                assert child.path in {entry.path for entry in explain(child.path)}
            stack.append(child)
    assert seen > 80
