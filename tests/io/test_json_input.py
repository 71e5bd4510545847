"""Untrusted JSON is read within limits, or refused in one line."""

import json

import pytest

from xlmgen.errors import UserError
from xlmgen.io.json_input import (
    DEEPEST,
    LARGEST_FILE,
    LARGEST_INTEGER,
    InvalidJson,
    parse_json,
    read_object,
)

SCHEMA = {"required": ["step"], "properties": {"step": {"type": "integer"}}}


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty \(line 1, column 1: Expecting value\)"),
        (" \n", "is empty"),
        ("{", r"is not JSON \(line 1, column 2: "),
        (b"\xff", "is not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        ('{"a": 1e999}', "holds a number that is not finite"),
        ("[-Infinity]", "holds a number that is not finite"),
        ("NaN", "holds a number that is not finite"),
        (str(LARGEST_INTEGER + 1), "holds a number that is too large"),
        ("9" * 5000, "holds a number that is too large"),
        (r'["\ud800"]', "holds half of a surrogate pair"),
        (r'{"\udfff": 1}', "holds half of a surrogate pair"),
        (nested(DEEPEST + 2), f"is nested more than {DEEPEST} levels deep"),
        ('{"a":' * 200_000, "is nested too deeply"),
        ("[" * 200_000, "is nested too deeply"),
    ],
)
def test_json_beyond_limits_is_invalid(text, message):
    with pytest.raises(InvalidJson, match=f"^{message}"):
        parse_json(text)


@pytest.mark.parametrize(
    "value", [None, 0.5, -LARGEST_INTEGER, "ä\U0001f600\0", {"a": [1, {"b": []}]}]
)
def test_json_within_limits_is_read(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_maximum_depth_is_read():
    assert json.dumps(parse_json(nested(DEEPEST))) == nested(DEEPEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "does not hold a JSON object"),
        ("{}", "is damaged: 'step' is a required property"),
        ('{"step": 2.0}', "is damaged: step: 2.0 is not of type 'integer'"),
        ('{"step": true}', "is damaged: step: True is not of type 'integer'"),
    ],
)
def test_object_of_other_schema_is_refused_with_file_name(text, message, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError) as refused:
        read_object(tmp_path / "a.json", "restore it", SCHEMA)
    assert str(refused.value) == f"{tmp_path}/a.json {message}; restore it"


def test_message_shortens_long_value(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"step": "x" * 100_000}))
    with pytest.raises(UserError, match=r"step: 'xxx.*x' is not of type") as refused:
        read_object(tmp_path / "a.json", "restore it", SCHEMA)
    assert len(refused.value.message) < 400


def test_irregular_or_large_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.json cannot be read: No such file"):
        read_object(tmp_path / "none.json", "restore it")
    with pytest.raises(UserError, match="is not a regular file"):
        read_object(tmp_path, "restore it")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(UserError, match="has more than 100,000,000 bytes"):
        read_object(tmp_path / "large.json", "restore it")


def test_unlimited_length_of_transformers_is_read():
    assert parse_json(f'{{"model_max_length": {int(1e30)}}}') == {
        "model_max_length": int(1e30)
    }
