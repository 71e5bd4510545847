"""Detokenisers: a sentence for each rule, and a task that uses them."""

import re
from pathlib import Path

import pytest

from xlmgen.data.detokenize import STYLES, detokenize
from xlmgen.data.task import load_task

LM1B = {
    "see http : / / x.org": "see http://x.org",
    "see https : / / x.org / y": "see https://x.org/y",
    "It 's what they 're for": "It's what they're for",
    "He left . She came .": "He left. She came.",
    "He left . ": "He left. ",
    "the U.S. . Then": "the U.S. . Then",  # no word before it: unchanged
    "who ? me ?": "who? me?",
    "no ! no !": "no! no!",
    "a , b : c ; d": "a, b: c; d",
    "and / or": "and/or",
    'the " big one " here': 'the "big one" here',
    "the ' big one ' here": "the 'big one' here",
    "the ' 9 ' o'clock 'news": "the '9' o'clock'news",
    "x ' ( y ) ' z": "x '(y)' z",
    "( so ) [ it ] is": "(so) [it] is",
    "( a [ b ] c )": "(a [b] c)",
    "for $ 5 or £ 4": "for $5 or £4",
    "a - b , c": "a - b, c",
}
PTB = {
    "the dog 's bone": "the dog's bone",
    "the dogs ' bone": "the dogs' bone",
    "did n't": "didn't",
    "one \n two": "one\ntwo",
    "and\\/or": "and/or",
    "N N N N": "N 1 1 N",
    "cost $ N N # N more": "cost $1 1 #1 more",
    "a <unk> b": "a ? b",
    "a , b .": "a , b .",  # unchanged
}
WIKITEXT = {
    "the dogs ' bone": "the dogs' bone",
    "the dog 's bone": "the dog's bone",
    "well @-@ known": "well-known",
    "10 @,@ 000": "10,000",
    "3 @.@ 5": "3.5",
    "a : b ; c . d ! e ? f , g": "a: b; c. d! e? f, g",
    "a .": "a .",  # nothing after it: unchanged
    "( a ) [ b ] { c } x": "(a) [b] {c} x",
    'say " hello " now': 'say "hello" now',
    "= = = = Title = = = =": "==== Title ====",
    "= = = Title = = =": "=== Title ===",
    " = = Title = = \n": " == Title ==\n",
    "5 ° C": "5°C",
    "one \n two": "one\ntwo",
    "of N men": "of 1 men",
}


@pytest.mark.parametrize(
    ("style", "text", "whole"),
    [
        (style, text, whole)
        for style, rules in (("lm1b", LM1B), ("ptb", PTB), ("wikitext", WIKITEXT))
        for text, whole in rules.items()
    ],
)
def test_every_rule_has_an_example(style, text, whole):
    assert detokenize(text, style) == whole


def test_documented_examples_are_current():
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")
    for style in STYLES:
        row = re.search(rf"^\| `{style}` \| `(.*)` \| `(.*)` \|$", page, re.MULTILINE)
        assert detokenize(row[1], style) == row[2]


def test_detokenised_text_is_unchanged():
    text = "He didn't say \"hello\" (or did he?); it cost $5, 10,000 times. It's so."
    assert {detokenize(text, style) for style in STYLES} == {text}


def test_task_detokenises_its_texts(tmp_path):
    lines = ["He did n't go , she said .", "It 's a dog .", "That is it ."]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    task = (
        "spec: xlmgen/task/v1\nname: lines\nlayout: lm\nmax_length: {length: 40}\n"
        "tokenizer: {kind: character}\nsource:\n"
        "  files: {train: lines.txt, validation: lines.txt, test: lines.txt}\n"
    )

    def texts(more):
        path = tmp_path / "lines.yaml"
        path.write_text(task + more)
        found = load_task(path)
        return [found.decode(row["tokens"]) for row in found.examples("test")]

    assert texts("") == lines
    assert texts("  detokenizer: none\n") == lines
    assert texts("  detokenizer: lm1b\n") == [
        "He did n't go, she said.",
        "It's a dog.",
        "That is it.",
    ]
    assert texts("  detokenizer: ptb\n")[0] == "He didn't go , she said ."
