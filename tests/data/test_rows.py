"""Templates and filters: texts of an example from the cells of a row."""

import json

import pytest

from xlmgen.data.row_filter import RowFilter
from xlmgen.data.sources import Corpus
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.template import Template

PAIRS = """\
spec: xlmgen/task/v1
name: pairs
layout: seq2seq
max_length: {prompt: 60, answer: 40}
tokenizer: {kind: byte}
source:
  files: {train: a.jsonl, validation: a.jsonl, test: a.jsonl}
"""


def load(folder, rows, source):
    """A task over the rows of a table, with extra keys under `source:`."""
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "pairs.yaml").write_text(PAIRS + "".join(f"  {s}\n" for s in source))
    return load_task(folder / "pairs.yaml")


def texts(task):
    return [row.texts for row in task.corpus.rows() if row.split == "train"]


def test_template_accepts_texts_and_numbers(tmp_path):
    task = load(
        tmp_path,
        [{"q": "a {b}", "n": 3, "f": 0.5, "my col": "x"}, {"q": "", "n": -1, "f": 2}],
        ['templates: {prompt: "{{{n}}} {q}{q}", target: "{f}"}'],
    )
    assert texts(task) == [("{3} a {b}a {b}", "0.5"), ("{-1} ", "2")]


def test_template_can_be_combined_with_column(tmp_path):
    task = load(
        tmp_path,
        [{"q": "1+1", "a": "2", "my col": "x"}],
        ['templates: {prompt: "{my col}: {q}"}', "columns: {target: a}"],
    )
    assert texts(task) == [("x: 1+1", "2")]


@pytest.mark.parametrize(
    ("row", "templates", "message"),
    [
        (
            {"q": "x", "a": "y"},
            '{prompt: "{p}"}',
            "in source.templates.prompt, name so",
        ),
        (
            {"q": None, "target": "y"},
            '{prompt: "{q}"}',
            "'q' holds null, not a text or",
        ),
        (
            {"q": [1], "target": "y"},
            '{prompt: "{q}"}',
            "'q' holds [1], not a text or a",
        ),
        (
            {"q": True, "target": "y"},
            '{prompt: "{q}"}',
            "'q' holds true, not a text or",
        ),
        ({"prompt": 3, "target": "y"}, '{target: "{target}"}', 'prompt: "{prompt}"'),
    ],
)
def test_cell_that_is_not_text_is_refused(tmp_path, row, templates, message):
    task = load(tmp_path, [row], [f"templates: {templates}"])
    with pytest.raises(UserError) as error:
        texts(task)
    assert "a.jsonl:1: " in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("{a}{b}{a}", ("a", "b")),
        ("{{a}} {b}", ("b",)),
        ("{a.b} {a[0]}", ("a.b", "a[0]")),  # plain names, without attribute access
    ],
)
def test_template_lists_its_columns(text, columns):
    made = Template.parse(text)
    assert made.columns == columns
    filled = made.fill({name: f"<{name}>" for name in columns})
    assert filled == text.replace("{{a}}", "(a)").replace("{", "<").replace(
        "}", ">"
    ).replace("(a)", "{a}")


@pytest.mark.parametrize(
    "text", ["{", "}", "{a", "a}", "{}", "{a!r}", "{a:>9}", "{a!}"]
)
def test_invalid_template_is_refused(text):
    with pytest.raises(ValueError, match=r"a brace has no partner|a column's name"):
        Template.parse(text)


KEPT = [  # condition, accepted values, rejected values
    ({"in": ["easy", 2, True]}, ["easy", "2", 2, 2.0, True, "true"], ["Easy", 3, None]),
    ({"not_in": ["easy", 2]}, ["hard", "", None, 3], ["easy", 2, "2"]),
    ({"min": 0, "max": 1}, [0, 1, "0.5"], [-0.1, 2, "1.5"]),
    ({"min": 0}, [0, "7e3"], [-1]),
    ({"max": 0}, [0, -9], [0.1]),
    ({"min_length": 2, "max_length": 3}, ["ab", "abc", "äöü", 12], ["a", "abcd", None]),
    ({"matches": "^[A-Z]"}, ["Ab", "A"], ["ab", "a A", ""]),
    ({"matches": "b"}, ["abc"], ["ac"]),
    ({"matches": "b", "max_length": 2}, ["ab"], ["abc", "ac"]),
]


@pytest.mark.parametrize(("condition", "meet", "miss"), KEPT)
def test_condition_accepts_and_rejects_values(condition, meet, miss):
    kept = RowFilter([{"column": "x", **condition}])
    assert [value for value in meet if not kept.keeps({"x": value})] == []
    assert [value for value in miss if kept.keeps({"x": value})] == []


def test_row_must_meet_all_conditions():
    kept = RowFilter([{"column": "x", "min": 1}, {"column": "y", "in": ["a"]}])
    rows = [(x, y) for x in (0, 1) for y in "ab"]
    assert [row for row in rows if kept.keeps(dict(zip("xy", row, strict=True)))] == [
        (1, "a")
    ]


def test_limit_counts_rows_that_pass_the_filter(tmp_path):
    rows = [{"prompt": str(i), "target": "", "odd": i % 2} for i in range(9)]
    more = ["filter: [{column: odd, in: [1]}]", "limit: {train: 2, test: 1}"]
    task = load(tmp_path, rows, more)
    kept = [(r.split, r.number) for r in task.corpus.rows() if r.texts is not None]
    assert kept == [
        *(("train", n) for n in (2, 4)),
        *(("validation", n) for n in (2, 4, 6, 8)),
        ("test", 2),
    ]


@pytest.mark.parametrize("more", [[], ["limit: {train: 5, test: 3}"]])
def test_rows_can_be_read_from_any_position(tmp_path, more):
    rows = [{"prompt": str(i), "target": ""} for i in range(7)]
    corpus = load(tmp_path, rows, more).corpus
    assert isinstance(corpus, Corpus)
    whole = list(corpus.rows())
    for at, row in enumerate(whole):
        before = sum(other.piece == row.piece for other in whole[:at])
        assert list(corpus.rows(row.piece, before)) == whole[at:]


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ('templates: {prompt: "{a!r}"}', "templates.prompt", "is not a template"),
        ('templates: {prompt: "{a"}', "templates.prompt", "a brace has no partner"),
        ('templates: {prompt: "a"}', "templates.prompt", "names no column"),
        ('templates: {tokens: "{a}"}', "templates.tokens", "it has prompt and target"),
        ("columns: {tokens: a}", "columns.tokens", "it has prompt and target"),
        ("filter: [{column: a}]", "filter[0]", "has no condition; add in, not_in"),
        ('filter: [{column: a, matches: "("}]', "filter[0].matches", "regular expres"),
        (
            "filter: [{column: a, min: 2, max: 1}]",
            "filter[0].max",
            "no row would be left",
        ),
        ("filter: [{column: a, equals: 2}]", "filter[0].equals", "unknown key"),
        ("filter: {column: a, min: 2}", "filter", "not a list"),
    ],
)
def test_mistake_in_yaml_is_reported(tmp_path, source, place, message):
    with pytest.raises(SpecError) as error:
        load(tmp_path, [], [source])
    found = [(d.path, d.text) for d in error.value.diagnostics]
    assert any(p == f"source.{place}" and message in text for p, text in found), found


def test_column_and_template_for_one_key_are_refused(tmp_path):
    more = ['templates: {prompt: "{a}"}', "columns: {prompt: b}"]
    with pytest.raises(SpecError, match="keep one of the two"):
        load(tmp_path, [], more)
