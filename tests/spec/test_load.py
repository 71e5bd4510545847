"""Reading YAML: correct values and positions, and no exceptions for any content."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlmgen.spec.document import Span
from xlmgen.spec.load import load_yaml


def codes(text):
    return [problem.code for problem in load_yaml("x.yaml", text).problems]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("2e-5", 2e-5),
        ("1.0e-3", 1e-3),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("+7", 7),
        ("-9223372036854775808", -(2**63)),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("NULL", None),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("'1'", "1"),
        ('"null"', "null"),
        ("=", "="),
    ],
)
def test_scalars_follow_yaml_1_2(word, value):
    data = load_yaml("x.yaml", f"key: {word}\n").data
    assert data == {"key": value}
    assert type(data["key"]) is type(value)


def test_every_key_and_value_has_its_position():
    text = "a: 1\nsizes:\n  tiny: {heads: 4, é: [x, yy]}\n"
    document = load_yaml("x.yaml", text)
    assert document.span(("a",)) == Span(1, 4, 1, 5)
    assert document.span(("a",), key=True) == Span(1, 1, 1, 2)
    assert document.span(("sizes", "tiny", "heads")) == Span(3, 17, 3, 18)
    assert document.span(("sizes", "tiny", "é", 1)) == Span(3, 27, 3, 29)
    assert document.span(("sizes", "tiny")) == Span(3, 9, 3, 31)
    # a value of several lines is pointed at by its key, a missing one by its parent
    assert document.span(("sizes",)) == Span(2, 1, 2, 6)
    assert document.span(("sizes", "tiny", "layers"), key=True) == Span(3, 3, 3, 7)


def test_position_of_alias_is_that_of_its_value():
    document = load_yaml("x.yaml", "a: &one {b: 1}\nc: *one\n")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert document.span(("c", "b")) == Span(1, 13, 1, 14)
    assert document.span(("c",), key=True) == Span(2, 1, 2, 2)


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes("\ufeffa: 1\r\nb: {c: 2}\r\n".encode())
    document = load_yaml(path)
    assert document.data == {"a": 1, "b": {"c": 2}}
    assert document.problems == ()
    assert document.span(("a",), key=True) == Span(1, 1, 1, 2)
    assert document.span(("b", "c")) == Span(2, 8, 2, 9)
    assert document.text.encode() == path.read_bytes()


def test_duplicate_key_names_both_positions():
    problem = load_yaml("x.yaml", "a: 1\nb: 2\n'a': 3\n").problems[0]
    assert (problem.line, problem.col, problem.code) == (3, 1, "XG004")
    assert "1:1" in problem.message


def test_reading_continues_after_problem_with_key():
    document = load_yaml("x.yaml", "1: a\nb: .inf\nb: 2\nc: !x 3\nd: 4\n")
    assert [p.code for p in document.problems] == ["XG005", "XG010", "XG004", "XG006"]
    assert document.data["d"] == 4


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "XG009"),
        ("# only a comment\n", "XG009"),
        ("---\n...\n", "XG009"),
        ("- a\n", "XG009"),
        ("word", "XG009"),
        ("a: 1\n---\nb: 2\n", "XG008"),
        ("a: [1\n", "XG003"),
        ("a: 'x\n", "XG003"),
        ("a: \0\n", "XG003"),
        ("a: \x1b[31m\n", "XG003"),
        ("a: *b\n", "XG003"),
        ("%YAML 2.0\n---\na: 1\n", "XG003"),
        ("a: !!python/name:os.system\n", "XG006"),
        ("a: !!str 1\n", "XG006"),
        ("a: ! 1\n", "XG006"),
        ("a: !!binary aGk=\n", "XG006"),
        ("a: &x [*x]\n", "XG007"),
        ("a: &x {b: *x}\n", "XG007"),
        ("a: " + "[" * 3000, "XG007"),
        ("- " * 3000, "XG007"),
        ("a: 1e999\n", "XG010"),
        ("a: -.INF\n", "XG010"),
        ("a: " + "9" * 10_000 + "\n", "XG010"),
        ("a: 0x" + "f" * 17 + "\n", "XG010"),
        ("null: 1\n", "XG005"),
        ("1.5: 1\n", "XG005"),
        ("true: 1\n", "XG005"),
        ("? [a]\n: 1\n", "XG005"),
        ("&a a: 1\n*a : 2\n", "XG005"),
    ],
)
def test_unreadable_text_is_reported(text, code):
    assert codes(text) == [code]


def test_alias_bomb_is_refused_quickly():
    levels = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in pairwise(levels):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    start = time.perf_counter()
    assert codes("\n".join(lines)) == ["XG007"]
    assert time.perf_counter() - start < 2


def test_unreadable_file_is_reported(tmp_path):
    assert load_yaml(tmp_path / "none.yaml").problems[0].code == "XG001"
    assert load_yaml(tmp_path).problems[0].code == "XG001"
    assert load_yaml("a\0b").problems[0].code == "XG001"
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 1_000_001)
    assert load_yaml(large).problems[0].code == "XG007"
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("a: 1\nb: café\n".encode("latin-1"))
    problem = load_yaml(latin).problems[0]
    assert (problem.line, problem.col, problem.code) == (2, 7, "XG002")
    wide = tmp_path / "wide.yaml"
    wide.write_bytes("a: 1\n".encode("utf-16"))
    assert load_yaml(wide).problems[0].code == "XG002"


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="abz019 \n\t:-{}[],&*!|>'\"#%@`?.~\\\ufeff\x85é\0", max_size=40)
)
def test_no_text_raises(text):
    document = load_yaml("x.yaml", text)
    assert document.data is not None or document.problems
    for problem in document.problems:
        assert 1 <= problem.line <= len(document.lines) or not document.lines
        assert 1 <= problem.col < problem.end_col


CONFLICT = """\
name: a
<<<<<<< ours
title: one
=======
title: two
>>>>>>> theirs
summary: three
"""


def test_conflict_markers_are_reported_at_their_lines():
    (problem,) = load_yaml("x.yaml", CONFLICT).problems
    assert (problem.code, problem.line, problem.col) == ("XG003", 2, 1)
    assert problem.message == "unresolved merge conflict"
    assert problem.fix == "keep the right version and delete the markers"
    twice = load_yaml("x.yaml", CONFLICT + CONFLICT).problems
    assert [problem.line for problem in twice] == [2, 9]
    (half,) = load_yaml("x.yaml", CONFLICT.replace("<<<<<<< ours\n", "")).problems
    assert (half.line, half.message) == (5, problem.message)


def test_quoted_conflict_markers_are_text():
    lines = "".join(f"  {line}\n" for line in CONFLICT.splitlines())
    document = load_yaml("x.yaml", f"text: |\n{lines}")
    assert document.problems == ()
    assert document.data == {"text": CONFLICT}
