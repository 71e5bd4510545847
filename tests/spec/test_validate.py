"""Validation of valid and invalid specs."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xlmgen.spec.family import read_family
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate

SPECS = Path(__file__).parents[1] / "specs"
POSITIVE = sorted((SPECS / "positive").glob("*.yaml"))
NEGATIVE = sorted((SPECS / "negative").glob("*.yaml"))


@pytest.mark.parametrize("path", POSITIVE, ids=lambda path: path.stem)
def test_valid_spec_has_no_problems(path):
    assert validate(load_yaml(path), "family") == []


@pytest.mark.parametrize("path", NEGATIVE, ids=lambda path: path.stem)
def test_invalid_spec_has_expected_problems(path):
    """The file `<name>.txt` has `line:col-end code message` for every problem."""
    found = [
        f"{d.line}:{d.col}-{d.end_col} {d.code} {d.text}"
        for d in validate(load_yaml(path), "family")
    ]
    assert found == path.with_suffix(".txt").read_text("utf-8").splitlines()
    assert found


@pytest.mark.parametrize("num_heads", [1, 2, 3, 5, 8])
def test_suggested_width_for_heads_is_valid(num_heads):
    text = (SPECS / "positive" / "mdlm.yaml").read_text("utf-8")
    for d_model in range(2, 99):
        size = f"{{d_model: {d_model}, layers: 4, num_heads: {num_heads}}}"
        tried = text.replace("{d_model: 128, layers: 4, num_heads: 4}", size)
        found = validate(load_yaml("mdlm.yaml", tried), "family")
        assert bool(found) == (d_model % (2 * num_heads) != 0)
        for problem in found:
            better = problem.fix.rpartition(" ")[2]
            mended = tried.replace(f"d_model: {d_model},", f"d_model: {better},")
            assert validate(load_yaml("mdlm.yaml", mended), "family") == []


def test_every_expectation_has_a_spec():
    expected = {path.stem for path in (SPECS / "negative").glob("*.txt")}
    assert expected == {path.stem for path in NEGATIVE}
    assert len(expected) >= 40


def test_tasks_and_experiments_are_validated():
    document = load_yaml("t.yaml", "spec: xlmgen/task/v1\nnmae: x\n")
    problems = validate(document, "task")
    assert {"XG101", "XG102"} <= {problem.code for problem in problems}


def test_defaults_are_filled_in_and_numbers_normalised():
    family = read_family(SPECS / "positive" / "mdlm.yaml")
    assert family.collator.options["replace"] == {
        "mask": 1.0,
        "random": 0.0,
        "keep": 0.0,
    }
    assert family.predictor.options["first_hitting"] is False
    assert family.sizes["tiny"] == {"d_model": 128, "layers": 4, "num_heads": 4}
    assert list(family.model.options)[:2] == ["attention", "output_heads"]


def test_equal_numbers_give_equal_specs(tmp_path):
    text = (SPECS / "positive" / "mdlm.yaml").read_text("utf-8")
    path = tmp_path / "x.yaml"
    path.write_text(text.replace("kind: unmasking", "kind: unmasking, temperature: 1"))
    temperature = read_family(path).predictor.options["temperature"]
    assert temperature == 1.0
    assert isinstance(temperature, float)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 200),
    st.floats(-2, 2, allow_nan=False),
    st.sampled_from(
        ["", "linear", "masked", "schedule", "cap", "loop", "x\ny", "null", "{", "%"]
    ),
    st.lists(st.integers(0, 2), max_size=3),
    st.dictionaries(
        st.sampled_from(["kind", "uniform", "mask", "rule", "é"]),
        st.sampled_from([0, "loop", "linear", None, [0, 1]]),
        max_size=3,
    ),
)


@st.composite
def mutated(draw):
    """Draw a valid spec with a few keys set, removed or renamed."""
    data = yaml.safe_load(draw(st.sampled_from(POSITIVE)).read_text("utf-8"))
    for _ in range(draw(st.integers(1, 3))):
        places = [(data, key) for key in data]
        for value in data.values():
            if isinstance(value, dict):
                places += [(value, key) for key in value]
        where, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["set", "remove", "rename", "add"]))
        if action in ("remove", "rename"):
            where.pop(key, None)
        if action == "set":
            where[key] = draw(VALUES)
        elif action in ("rename", "add"):
            where[
                draw(
                    st.sampled_from(
                        ["remask", "decoding_block", "rate", "x:y", key + "s"]
                    )
                )
            ] = draw(VALUES)
    return data


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_no_spec_raises_and_problems_are_within_the_text(data):
    before = copy.deepcopy(data)
    document = load_yaml("x.yaml", json.dumps(data, ensure_ascii=False))
    problems = validate(document, "family")
    assert document.data == before
    assert len(set(problems)) == len(problems)
    for problem in problems:
        assert problem.line == 1
        assert 1 <= problem.col < problem.end_col <= len(document.lines[0]) + 2
        assert problem.message
        assert "\n" not in problem.text
