"""The helpers print formatted Python that cannot be injected into."""

import ast
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlmgen.render import python

NASTY = [
    'ends with a quote"',
    '"starts with one',
    '"""\nimport os\n"""',
    "back\\slash \\n \\",
    "it's 'quoted'",
    "both ' and \"",
    "\\",
    '"',
    "\\" * 70 + " " + '"' * 70,
    "x" * 200,
    "é ∑ 漢字",
]


def formatted(source):
    """Format source by `ruff format` at its default line length."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "-"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def pieces(length):
    """Print one of each construct, with names of a given length."""
    name = "x" * length
    return "\n\n\n".join(
        [
            python.docstring("Summary of " + name + ".", "word " * 40)
            + "\n\n"
            + python.imports(
                "package.module_" + name, [f"B{name}", "a", "CONSTANT", "C"]
            )
            + "\n"
            + python.imports("zoo", ["b", "a"]),
            python.call(
                f"value = {name}", [f"first={name}", "second=2", "third=[1, 2]"]
            )
            + "\n"
            + python.mapping("table = ", {"key": name, name: "1"}),
            python.signature(name, [f"model: {name}", "batch: int"], returns="int")
            + "\n"
            + "    "
            + python.docstring("A " + name + " is given. " * 9, indent=4)
            + "\n    "
            + python.call("return f", [name, "1"], indent=4, tail=".sum()"),
        ]
    )


@pytest.mark.parametrize("length", [1, 8, 20, 26, 32, 40])
def test_formatter_changes_nothing(length):
    source = pieces(length) + "\n"
    assert formatted(source) == source


def test_line_is_split_at_maximum_width():
    fits = python.call("f", ["a" * 42, "b" * 41])
    assert len(fits) == 88
    assert "\n" not in fits
    assert python.call("f", ["a" * 42, "b" * 42]).count("\n") == 3
    assert "\n" in python.call("f", ["a" * 42, "b" * 41], indent=1)


def test_special_characters_keep_their_meaning():
    lines = [f"x = {python.string(text)}" for text in NASTY]
    for text, line in zip(NASTY, lines, strict=True):
        assert ast.literal_eval(line[4:]) == text
    source = "\n".join(lines) + "\n"
    assert formatted(source) == source


@pytest.mark.parametrize("text", NASTY)
def test_docstring_has_exactly_its_text(text):
    source = f"def f():\n    {python.docstring(text, text, indent=4)}\n"
    tree = ast.parse(source)
    assert len(tree.body) == 1
    assert len(tree.body[0].body) == 1
    said = " ".join(ast.get_docstring(tree.body[0]).split())
    assert said == " ".join(f"{text} {text}".split())


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab \"'\\\n\t{}#é", max_size=120))
def test_text_cannot_end_docstring_or_string(text):
    assert ast.literal_eval(python.string(text)) == text
    if text.strip():
        (node,) = ast.parse(python.docstring(text, text)).body
        assert isinstance(node, ast.Expr)
        assert node.value.value.split() == (text + " " + text).split()


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (1e-3, "0.001"),
        (None, "None"),
        (True, "True"),
        ("a", '"a"'),
        ([1, "b"], '[1, "b"]'),
        ((1,), "(1,)"),
        ({"a": {"b": 1.0}}, '{"a": {"b": 1.0}}'),
    ],
)
def test_literals(value, source):
    assert python.literal(value) == source
    assert ast.literal_eval(source) == value


def test_literal_of_other_type_raises():
    with pytest.raises(TypeError):
        python.literal(object())


def test_imports_are_sorted_as_the_linter_does():
    line = python.imports("m", ["to", "Cat", "MAX", "Ant", "do", "Cat"])
    assert line == "from m import MAX, Ant, Cat, do, to"
