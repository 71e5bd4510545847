"""Sentences of grammars, compared with the enumerated language of a small one."""

from collections import Counter
from itertools import product

import pytest
import yaml

from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.evaluation.scores import score, score_rows
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.generators.cfg import Grammar
from xlmgen.tasks import cfg
from xlmgen.tasks.answered import Answered

# left and right recursion, a rule of one symbol, and ambiguous texts
SMALL = {
    "start": "s",
    "rules": {
        "s": ["s + s", "( s )", "t"],
        "t": ["x", "t !"],
    },
    "length": {"min": 1, "max": 5},
    "sizes": {"train": 12, "validation": 1, "test": 1},
    "seed": 0,
}
WORDS = ["+", "(", ")", "x", "!"]


def language(source, longest):
    """All sentences up to a length, by rewriting the leftmost symbol in all ways."""
    rules = {k: [a.split() for a in v] for k, v in source["rules"].items()}
    found, todo, seen = set(), [(source["start"],)], set()
    while todo:
        form = todo.pop()
        if len(form) > longest or form in seen:
            continue
        seen.add(form)
        at = next((i for i, symbol in enumerate(form) if symbol in rules), None)
        if at is None:
            found.add(form)
            continue
        todo += [(*form[:at], *rule, *form[at + 1 :]) for rule in rules[form[at]]]
    return found


def answers(*texts, source=SMALL):
    return [Answered(source, tuple(text.split())) for text in texts]


def test_text_parses_exactly_if_in_the_language():
    sentences = language(SMALL, 5)
    assert ("x", "+", "x", "!") in sentences
    for length in range(6):
        for words in product(WORDS, repeat=length):
            row = Answered(SMALL, words)
            assert cfg.parses(row) == (words in sentences), words
    assert cfg.parses(Answered(SMALL, ("x", "[CLS]"))) == 0
    assert cfg.parses(Answered(SMALL, ("s",))) == 0  # a symbol is not a word


def test_parse_tree_derives_the_text():
    grammar = Grammar.of(SMALL)
    for words in language(SMALL, 5):
        tree = cfg.parse(Answered(SMALL, words))
        assert tree.symbol == "s"
        assert tuple(node.symbol for node in tree if not node.below) == words
        for node in tree:
            if node.below:
                symbol, rule = node.rule
                assert rule in grammar.rules[symbol]


def test_exactly_the_sentences_of_the_language_are_drawn(monkeypatch):
    monkeypatch.setattr("xlmgen.tasks.draws.PATIENCE", 2)
    sentences = {" ".join(words) for words in language(SMALL, 5)}
    sizes = {"train": len(sentences) - 2, "validation": 1, "test": 1}
    splits = cfg.records({**SMALL, "sizes": sizes})
    made = [text for split in splits.values() for text in split["tokens"]]
    assert len(made) == len(sentences)
    assert set(made) == sentences
    with pytest.raises(UserError, match="different sentences, and only"):
        cfg.records({**SMALL, "sizes": {**sizes, "train": len(sentences)}})


def test_derivations_are_counted():
    """x + x + x has two derivations."""
    counts = Grammar.of(SMALL).sentences(1, 5)
    alone = Counter(len(words) for words in language(SMALL, 5))
    assert counts == {1: 1, 2: 1, 3: 3, 4: 4, 5: 11}
    assert alone == {1: 1, 2: 1, 3: 3, 4: 4, 5: 10}


def test_lengths_are_uniform():
    source = load_task("cfg").source
    sizes = {"train": 3400, "validation": 1, "test": 199}
    lengths = Counter(
        len(text.split())
        for text in cfg.records({**source, "sizes": sizes})["train"]["tokens"]
    )
    # there are 12 sentences of three words: all are found, and no more
    assert sorted(lengths) == list(range(3, 21))
    assert all(abs(lengths[n] - 205) < 60 for n in range(6, 21))


def test_rule_coverage_is_share_of_used_rules():
    every = 5
    for texts, used in (
        (["x"], 2),  # s → t, t → x
        (["x !"], 3),
        (["x", "( x )"], 3),
        (["x + x !", "( x )"], every),
        (["x", "x + ) !"], 2),  # texts that do not parse use no rules
        (["+"], 0),
    ):
        assert cfg.rule_coverage(answers(*texts)) == used / every


def test_templates_ignore_the_choice_of_words():
    source = load_task("cfg").source
    texts = ["the cat rests", "every dog sings", "all cats rest", "the rests cat"]
    rows = answers(*texts, source=source)
    assert [cfg.parses(row) for row in rows] == [1, 1, 1, 0]
    assert cfg.distinct_templates(rows) == 2 / 4
    assert cfg.distinct_templates(rows[:2]) == 1 / 2
    grammar = Grammar.of(source)
    assert cfg.template(grammar, cfg.parse(rows[1])) == ("a", "noun", "sleeps")


def test_english_grammar_has_agreement():
    source = load_task("cfg").source
    for text, right in (
        ("the old cat follows all birds that sing", 1),
        ("the old cat follow all birds that sing", 0),
        ("the old cat follows all birds that sings", 0),
        ("every child thinks that these cats near the dog wait", 1),
        ("every children thinks that these cats wait", 0),
        ("the cat", 0),
        ("", 0),
    ):
        assert cfg.parses(*answers(text, source=source)) == right, text


def test_metrics_of_all_texts_have_no_row_scores():
    task = load_task("cfg_tiny")
    texts = ["1 + 2 + 3", "( 1 + 1 )", "( 1 + 1", "3 + 1 + 2"]
    ids = [task.tokenizer.encode(text) for text in texts]
    examples = [{"tokens": []}] * len(ids)
    assert score_rows(task, examples, ids) == {"parses": [1, 1, 0, 1]}
    scores = score(task, examples, ids)
    assert scores == {
        "parses": 0.75,
        "rule_coverage": 1.0,  # of 2 + 2 + 3
        "distinct_templates": 0.5,
    }
    assert list(scores) == list(task.metrics)


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"start": "sun"}, "source.start", "did you mean 'sum'"),
        ({"start": "zzz"}, "source.start", "there are no rules for 'zzz'"),
        ({"rules": {"sum": []}}, "source.rules.sum", "at least 1"),
        ({"rules": {"sum": ["1", ""]}}, "source.rules.sum[1]", ""),
        ({"rules": {"sum": ["1", "1"]}}, "source.rules.sum", "twice"),
        ({"rules": {"sum": ["a", "1"], "a": ["b"], "b": ["a"]}}, "source.rules.a", "→"),
        (
            {"rules": {"sum": ["1", "x"], "x": ["x 1"]}},
            "source.rules.x",
            "derives no words",
        ),
        ({"rules": {"sum": ["1"], "x": ["2"]}}, "source.rules.x", "remove it"),
        ({"length": {"min": 5, "max": 4}}, "source.length", "less than min"),
        ({"length": {"min": 5, "max": 5}}, "source.sizes", "at most 57"),
        ({"length": {"min": 2, "max": 2}}, "source.sizes", "at most 0"),
        ({"length": {"min": 5, "max": 13}}, "max_length.length", "at least 15"),
    ],
)
def test_impossible_settings_are_refused(refused, changes, place, message):
    told = refused("cfg_tiny", changes)
    assert any(place == where and message in text for where, text in told), told


def test_answer_metrics_are_refused_for_lm_layout(tmp_path):
    task = load_task("cfg_tiny")
    path = tmp_path / "mine.yaml"
    for wrong in ("exact_match", "solved"):
        document = {**task.document, "metrics": ["parses", wrong]}
        path.write_text(yaml.safe_dump(document))
        with pytest.raises(
            SpecError, match=r"metrics.*: .*(does not have|sudoku only)"
        ):
            load_task(path)
