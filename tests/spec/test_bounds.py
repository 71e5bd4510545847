"""Validation of untrusted files takes bounded time."""

import json
import random
import shutil
import string
import time
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.io.json_schema import validator
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import MOST, validate

ROOT = Path(__file__).parents[2]
FAMILY = (ROOT / "examples" / "scout.yaml").read_text("utf-8")
TASK = """\
spec: xlmgen/task/v1
name: words
layout: lm
max_length: {length: 16}
source: {files: {train: words.txt}}
tokenizer: {kind: vocabulary, tokens: [TOKENS]}
metrics: [METRICS]
"""
SCHEMA = Path("schemas/kinds/predictor/spaced.schema.json")
TEMPLATE = Path("templates/family/predictor/spaced.py.jinja")


def words(number, length=20):
    draw = random.Random(0)
    return [
        "".join(draw.choices(string.ascii_lowercase, k=length)) for _ in range(number)
    ]


def keys(number):
    return [f"{word}: 1" for word in words(number)]


MANY = {
    "keys": ("family", FAMILY + "\n".join(keys(24_000))),
    "options": (
        "family",
        FAMILY.replace("loss: {", f"loss: {{{', '.join(keys(20_000))}, "),
    ),
    "sizes": (
        "family",
        FAMILY.replace(
            "sizes:\n",
            "sizes:\n" + "".join(f"  {word}: {{heds: 2}}\n" for word in words(10_000)),
        ),
    ),
    "metrics": ("task", TASK.replace("METRICS", ", ".join(words(20_000)))),
    "tokens": ("task", TASK.replace("TOKENS", ", ".join(map(str, range(20_000))))),
}


@pytest.mark.parametrize("name", MANY)
def test_time_for_suggestions_is_bounded(name):
    kind, text = MANY[name]
    assert len(text) < 1_000_000
    document = load_yaml("a.yaml", text)
    assert not document.problems
    begin = time.process_time()
    problems = validate(document, kind)
    assert time.process_time() - begin < 5
    assert problems[0].code == "XG007"
    assert "more than 100 problems" in problems[0].message
    assert MOST / 3 <= len(problems) <= MOST + 1


def test_problems_are_reported_up_to_the_limit():
    text = FAMILY + "\n".join(keys(MOST))
    problems = validate(load_yaml("a.yaml", text), "family")
    assert [problem.code for problem in problems] == ["XG101"] * MOST


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, 2], True),
        ([1, 1.0], False),
        ([1, True], True),
        ([0, False], True),
        (["1", 1], True),
        ([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], False),
        ([{"a": 1}, {"a": True}], True),
        ([[1, 2], [2, 1]], True),
        ([None, None], False),
    ],
)
def test_items_equal_in_json_are_not_unique(items, unique):
    from jsonschema import Draft202012Validator

    assert validator({"uniqueItems": True}).is_valid(items) is unique
    assert Draft202012Validator({"uniqueItems": True}).is_valid(items) is unique


def test_time_to_compare_items_is_bounded():
    """The standard keyword compares all pairs if items cannot be sorted."""
    items = [value for number in range(20_000) for value in (number, str(number))]
    begin = time.process_time()
    assert validator({"uniqueItems": True}).is_valid(items)
    assert not validator({"uniqueItems": True}).is_valid([*items, "7"])
    assert time.process_time() - begin < 5


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Copy the example project with its own kind, and make it the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "examples" / "own-kind", folder)
    monkeypatch.chdir(folder)
    return folder


def change(**keys):
    schema = json.loads(SCHEMA.read_text("utf-8"))
    for key, value in keys.items():
        schema["properties"][key] = {"description": "Text.", **value}
    SCHEMA.write_text(json.dumps(schema), "utf-8")
    return schema


def checked(capsys):
    assert main(["check", "comb.yaml"]) == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out
    return out


def test_catastrophic_pattern_is_reported(project, capsys):
    change(label={"type": "string", "pattern": "^(a|a)*$"})
    text = Path("comb.yaml").read_text("utf-8")
    label = "a" * 60 + "b"
    Path("comb.yaml").write_text(text.replace("steps: 8", f"label: {label}, steps: 8"))
    out = checked(capsys)
    assert "XG007" in out
    assert "takes longer than" in out


@pytest.mark.parametrize(
    "pattern", ["(" * 5000 + ")" * 5000, "a{99999999999999999999}", "(", "[" + "a" * 9]
)
def test_invalid_pattern_is_reported(pattern, project, capsys):
    change(label={"type": "string", "pattern": pattern})
    assert f"{SCHEMA}:" in (out := checked(capsys))
    assert "XG401" in out


def test_exponential_definitions_are_reported(project, capsys):
    schema = change(label={"$ref": "#/$defs/a30"})
    schema["$defs"] = {"a0": {"type": "string"}}
    for number in range(30):
        twice = [{"$ref": f"#/$defs/a{number}"}] * 2
        schema["$defs"][f"a{number + 1}"] = {"allOf": twice}
    SCHEMA.write_text(json.dumps(schema, indent=1), "utf-8")
    assert "more than 20,000 parts" in checked(capsys)


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 100_000, "{", "", "\x00"])
def test_invalid_schema_is_reported(text, project, capsys):
    SCHEMA.write_text(text)
    assert "XG401" in checked(capsys)


@pytest.mark.parametrize("text", ["{{" * 9999, "{{ " + "1" * 5000 + " }}"])
def test_too_deep_template_is_reported(text, project, capsys):
    TEMPLATE.write_text(text)
    assert f"{TEMPLATE}:1:1  XG402" in checked(capsys)
