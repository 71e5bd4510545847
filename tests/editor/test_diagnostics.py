"""Editors report the same problems as `xlmgen check`."""

from pathlib import Path

import pytest

from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate

ROOT = Path(__file__).parents[2]
GOOD = sorted(
    path
    for pattern in (
        "families/*/family.yaml",
        "families/*/experiments/*.yaml",
        "examples/**/*.yaml",
        "xlmgen/tasks/*.yaml",
        "tests/specs/positive/*.yaml",
    )
    for path in ROOT.glob(pattern)
    # Projects of their own are in test_project.py.
    if not any(part.startswith("own-") for part in path.parts)
)
NEGATIVE = sorted(
    path
    for path in (ROOT / "tests/specs/negative").glob("*.yaml")
    if path.stem != "not_utf8"  # an editor decodes a file before the server sees it
)
MODELINE = "# yaml-language-server: $schema="

# Codes of what no JSON Schema says, and so no editor sees.
BEYOND = {
    "XG107": "names of Python and of packages are no part of the schema",
    "XG109": "arithmetic between keys",
    "XG201": "what components promise each other",
}
# Specs of which an editor says something else than `check`, and why.
DIFFERENT = {
    "alias_bomb": "the limits of size are those of xlmgen's own reader",
    "too_deep": "the limits of depth are those of xlmgen's own reader",
    "tab_indent": "the server reads on after the tab, and misses what it indents",
    "empty": "the server leaves an empty file alone",
    "only_a_comment": "the server leaves an empty file alone",
    "not_a_number": "to the server .nan is a number",
    "two_documents": "the server checks every document of a file",
    "float_for_integer": "4.0 is an integer in JSON Schema",
    "merge_key": "the server resolves merge keys, which YAML 1.2 has not got",
    "missing_space": "the server passes over keys in braces that have no value",
    "null_key": "the server passes over keys that are no texts",
    "number_key": "the server passes over keys that are no texts",
    "rate_reversed": "x-ascending is a keyword of xlmgen's",
    "window_reversed": "x-ascending is a keyword of xlmgen's",
    "replace_default_mask": "x-sum is a keyword of xlmgen's",
    "replace_sum": "x-sum is a keyword of xlmgen's",
}


def label(path):
    return path.relative_to(ROOT).as_posix()


def with_modeline(text, file):
    """Add a schema line to a text, unless it has one."""
    if MODELINE in text:
        return text
    return f"{MODELINE}{(ROOT / 'schemas').as_posix()}/{file}.schema.json\n{text}"


def checked(text, file):
    """Return the lines, from 1, of problems of `check` that editors can find."""
    problems = validate(load_yaml("x.yaml", text), file)
    return {problem.line for problem in problems if problem.code not in BEYOND}


@pytest.fixture(scope="module")
def opened(editor):
    """Return the URIs of all valid files, and of invalid ones with their texts."""
    good = {path: editor.open(path) for path in GOOD}
    bad = {}
    for path in NEGATIVE:
        text = with_modeline(path.read_text("utf-8"), "family")
        bad[path] = editor.open(path, text), text
    return good, bad


@pytest.mark.parametrize("path", GOOD, ids=label)
def test_editor_reports_nothing_for_valid_file(path, editor, opened):
    uri = opened[0][path]
    lines = path.read_text("utf-8").splitlines()
    line = next(i for i, text in enumerate(lines) if text.startswith("spec:"))
    assert "The format of this file and its version." in editor.hover(uri, line, 1)
    assert editor.diagnostics(uri) == []


@pytest.mark.parametrize("path", NEGATIVE, ids=lambda path: path.stem)
def test_editor_marks_same_lines_as_check(path, editor, opened):
    uri, text = opened[1][path]
    expected = checked(text, "family")
    marked = {line for line, _ in editor.diagnostics(uri)}
    if path.stem in DIFFERENT:
        assert marked != expected, "they agree now: take it off the list"
    else:
        assert marked == expected


def test_listed_differences_are_specs():
    assert set(DIFFERENT) <= {path.stem for path in NEGATIVE}


TASK = "xlmgen/tasks/star_tiny.yaml"
TEXT = "xlmgen/tasks/text.yaml"
EXPERIMENT = "families/mdlm/experiments/star_tiny.yaml"
MISTAKES = [
    (TASK, "spec: xlmgen/task/v1\n", ""),
    (TASK, "layout: seq2seq", "layout: seq"),
    (TASK, "generator: star", "generator: stars"),
    (TASK, "arms: 2", "arms: two"),
    (TASK, "arms: 2", "legs: 2"),
    (TASK, "metrics:", "metric:"),
    (TASK, "[exact_match, token_accuracy", "[exact_match, exact_match"),
    (TASK, "[exact_match", "[bleu"),
    (TASK, "{prompt: 11", "{promt: 11"),
    (TASK, "{prompt: 11", "{length: 16, prompt: 11"),
    (TASK, "kind: vocabulary", "kind: words"),
    (TASK, "kind: vocabulary", "kind: bpe"),
    (TASK, "range: 10", "range: 10, tokens: [a]"),
    (TASK, "metrics:", "packing: packed\nmetrics:"),
    (TASK, "metrics:", "overflow: truncate\nmetrics:"),
    (TEXT, "layout: lm", "layout: seq2seq"),
    (TEXT, "layout: lm", "layout: infill"),
    (TEXT, "packing:", "metrics: [exact_match]\npacking:"),
    (TEXT, "size: 4096", "size: 12"),
    (TEXT, '{train: "data/*.txt"}', "{train: []}"),
    (TEXT, '{train: "data/*.txt"}', "{test: a.txt}"),
    (EXPERIMENT, "family: ", "familie: "),
    (EXPERIMENT, "size: tiny", "size: 1"),
    (EXPERIMENT, "max_steps: 5000", "max_steps: 0"),
    (EXPERIMENT, "schedule: cosine", "schedule: cos"),
    (EXPERIMENT, "schedule: cosine", "betas: [0.9]"),
    (EXPERIMENT, "schedule: cosine", "compile: yes"),
    (EXPERIMENT, "training:", "model: {d_model: wide}\ntraining:"),
    (EXPERIMENT, "training:", "predictor: {order: random}\ntraining:"),
    (EXPERIMENT, "training:", "loggers: [tensorboard, tensorboard]\ntraining:"),
]


def test_editor_marks_mistakes_in_tasks_and_experiments(editor):
    opened = []
    for number, (file, good, bad) in enumerate(MISTAKES):
        path = ROOT / file
        text = path.read_text("utf-8")
        assert good in text
        text = text.replace(good, bad, 1)
        uri = editor.open(path.with_name(f"mistake{number}.yaml"), text)
        opened.append((uri, text, "task" if file != EXPERIMENT else "experiment"))
    for mistake, (uri, text, file) in zip(MISTAKES, opened, strict=True):
        marked = {line for line, _ in editor.diagnostics(uri)}
        assert marked == checked(text, file) != set(), mistake


def test_nothing_is_fetched(start_editor, editor, tmp_path):
    """The server exits if it uses the network: here it does, elsewhere it did not."""
    other = start_editor()
    uri = other.open(tmp_path / "x.yaml", f"{MODELINE}https://example.org/x.json\na: 1")
    with pytest.raises(AssertionError, match="the server ended"):
        other.diagnostics(uri)
    other.close()
    assert other.process.returncode == 3
    assert editor.process.poll() is None
