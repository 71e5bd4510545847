"""Patterns of schemas match in Python as in editors."""

import json
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.io.json_schema import validator
from xlmgen.io.patterns import strict
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import FILES, built_in
from xlmgen.spec.validate import validate

ROOT = Path(__file__).parents[2]


def patterns(node):
    """Find every `pattern` of a schema."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from patterns(item)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        ("^(a|b$)", "b\n", False),
        (r"^a\$$", "a$", True),
        (r"^a\$$", "a$\n", False),
        ("^[$]$", "$", True),
        ("^[]$]+$", "]$", True),
        (r"^[\]$]+$", "]$\n", False),
        ("^a", "a\n", True),
    ],
)
def test_dollar_matches_end_of_text_only(pattern, text, found):
    assert bool(strict(pattern).search(text)) is found
    assert validator({"pattern": pattern}).is_valid(text) is found


def test_built_in_patterns_refuse_final_line_break():
    examples = ["a", "x_1", "a.b:c", "a b", "arXiv:2406.07524", "A title", "0"]
    known = [p for file in FILES for p in patterns(built_in().schema(file))]
    for path in (ROOT / "schemas").rglob("*.json"):
        known += patterns(json.loads(path.read_text("utf-8")))
    summary = built_in().schema("family")["properties"]["summary"]["pattern"]
    ends = {p for p in known if p.endswith("$")} - {summary}
    assert len(ends) > 8
    for pattern in ends:
        fitting = [text for text in examples if strict(pattern).search(text)]
        assert fitting, pattern
        assert not any(strict(pattern).search(f"{text}\n") for text in fitting)


FAMILY = """\
spec: xlmgen/family/v1
name: "sample"
title: "A sample"
papers: ["arXiv:2406.07524"]
collator: {kind: masking, rate: schedule, padding: predict}
noise_schedule: {kind: linear}
model: {kind: transformer, attention: bidirectional}
sizes: {"tiny": {d_model: 64, layers: 2, num_heads: 2}}
loss: {kind: masked, weight: schedule}
predictor: {kind: unmasking, order: random, steps: 8}
"""
TASK = """\
spec: xlmgen/task/v1
name: "sample"
title: "A sample"
layout: lm
max_length: {length: 16}
source:
  python: "module:example"
  settings: {"length": 8}
  sizes: {train: 8, validation: 2, test: 2}
tokenizer: {kind: character}
metrics: [{python: "module:score"}]
"""
EXPERIMENT = """\
spec: xlmgen/experiment/v1
name: "sample"
family: mdlm
task: star_tiny
size: tiny
"""


@pytest.mark.parametrize(
    ("kind", "text", "word", "path"),
    [
        ("family", FAMILY, "sample", "name"),
        ("family", FAMILY, "A sample", "title"),
        ("family", FAMILY, "tiny", "sizes"),
        ("family", FAMILY, "arXiv:2406.07524", "papers[0]"),
        ("task", TASK, "sample", "name"),
        ("task", TASK, "A sample", "title"),
        ("task", TASK, "module:example", "source.python"),
        ("task", TASK, "length", "source.settings"),
        ("task", TASK, "module:score", "metrics"),
        ("experiment", EXPERIMENT, "sample", "name"),
    ],
)
def test_name_with_final_line_break_is_refused(kind, text, word, path):
    assert f'"{word}"' in text
    assert not validate(load_yaml("a.yaml", text), kind)
    broken = text.replace(f'"{word}"', f'"{word}\\n"', 1)
    problems = validate(load_yaml("a.yaml", broken), kind)
    assert problems
    assert all(problem.code in ("XG104", "XG106") for problem in problems)
    assert problems[0].path.startswith(path)


INVISIBLE = [
    *("\\0", "\\e[31m", "\\u202e", "\\u200b", "\\u200f", "\\u2066", "\\ufeff"),
    *("\\u00ad", "\\x85", "\\u2028", "\\u00a0", "\\u2003", "\\u3000", "\\u3164"),
    *("\\U000E0041", "\\u061c"),
]


@pytest.mark.parametrize("sign", INVISIBLE)
@pytest.mark.parametrize("key", ["title", "summary", "papers"])
def test_invisible_character_is_refused(key, sign):
    value = f"https://a.b/{sign}x"
    line = f'{key}: ["{value}"]' if key == "papers" else f'{key}: "{value}"'
    text = "".join(x for x in FAMILY.splitlines(True) if not x.startswith(f"{key}:"))
    problems = validate(load_yaml("a.yaml", text + line), "family")
    assert [problem.code for problem in problems] == ["XG106"]
    assert problems[0].path.startswith(key)


@pytest.mark.parametrize("title", ["", "   ", "\\u3000", "two\\nlines"])
def test_title_must_be_one_visible_line(title):
    text = FAMILY.replace("A sample", title)
    assert [p.code for p in validate(load_yaml("a.yaml", text), "family")] == ["XG106"]


@pytest.mark.parametrize(
    "title", ["Étude", "日本語", "مدل", "می\\u200cخواهم", "p(x) ∝ e^−E 🤖", " indented"]
)
def test_title_in_any_script_is_accepted(title):
    text = FAMILY.replace("A sample", title)
    assert not validate(load_yaml("a.yaml", text), "family")


@pytest.mark.parametrize(
    "paper",
    [
        "https://arxiv.org](https://evil.example/?",
        "https://arxiv.org@evil.example/",
        "https://аrxiv.org/",
        "https://a.b/x y",
        "https://a.b/x|y",
        "http://a.b/",
        "doi:10.1000/a]b",
        "arXiv:٢٤٠٦.٠٧٥٢٤",
    ],
)
def test_deceptive_address_is_refused(paper):
    text = FAMILY.replace("arXiv:2406.07524", paper)
    assert [p.code for p in validate(load_yaml("a.yaml", text), "family")] == ["XG106"]


def test_readme_links_match_their_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    papers = ["doi:10.1016/S0092-8674(00)8_0_0", "https://a.b/*x*?y=(1)&z=_2_"]
    text = FAMILY.replace("arXiv:2406.07524", '", "'.join(papers))
    text = text.replace("A sample", "[A](https://evil.example) # sample")
    Path("sample.yaml").write_text(text, "utf-8")
    assert main(["check", "sample.yaml"]) == 0
    assert main(["new", "sample.yaml"]) == 0
    readme = Path("families/sample/README.md").read_text("utf-8").splitlines()
    assert r"# \[A\](https:\//evil.example) \# sample" in readme
    doi = r"* [doi:10.1016/S0092-8674(00)8_0_0]"
    assert f"{doi}(https://doi.org/10.1016/S0092-8674%2800%298_0_0)" in readme
    address = r"* [https:\//a.b/\*x\*?y=(1)\&z=\_2\_]"
    assert f"{address}(https://a.b/*x*?y=%281%29&z=_2_)" in readme
    for file in Path("families/sample").rglob("*.py"):
        compile(file.read_text("utf-8"), file, "exec")
