"""Sentences of a context-free grammar.

A sentence's length is uniform among those that there are, and it then comes about in
any of its ways with the same probability. Texts are scored by parsing them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xlmgen.spec.generators.cfg import Grammar, Symbols
from xlmgen.tasks import draws
from xlmgen.tasks.answered import Answered

CHUNK = 1024  # sentences drawn at once: part of what a seed means


@dataclass(frozen=True)
class Tree:
    """A symbol with what it became; a word has nothing below it."""

    symbol: str
    below: tuple["Tree", ...] = ()

    def __iter__(self) -> Iterator["Tree"]:
        """This node and all below it, from left to right."""
        yield self
        for tree in self.below:
            yield from tree

    @property
    def rule(self) -> tuple[str, Symbols]:
        """The rule that was used here."""
        return self.symbol, tuple(tree.symbol for tree in self.below)


@dataclass(frozen=True)
class Parser:
    """Finds how a sentence comes about: of several ways, one.

    Args:
        words: the sentence.
    """

    grammar: Grammar
    words: Sequence[str]
    _found: dict[tuple[Symbols, int, int], tuple[Tree, ...] | None] = field(
        default_factory=dict, repr=False
    )

    def tree(self) -> Tree | None:
        """The tree of the whole sentence; None where it is none."""
        trees = self._trees((self.grammar.start,), 0, len(self.words))
        return trees[0] if trees else None

    def _trees(self, symbols: Symbols, start: int, end: int) -> tuple[Tree, ...] | None:
        """A tree for each of the symbols, over the words from start to end together."""
        if len(symbols) > end - start:
            return None
        key = (symbols, start, end)
        if key not in self._found:
            several = len(symbols) > 1
            find = self._one_after_another if several else self._one
            self._found[key] = find(symbols, start, end)
        return self._found[key]

    def _one(self, symbols: Symbols, start: int, end: int) -> tuple[Tree, ...] | None:
        (symbol,) = symbols
        if symbol not in self.grammar.rules:
            alone = end - start == 1 and self.words[start] == symbol
            return (Tree(symbol),) if alone else None
        for rule in self.grammar.rules[symbol]:
            below = self._trees(rule, start, end)
            if below:
                return (Tree(symbol, below),)
        return None

    def _one_after_another(
        self, symbols: Symbols, start: int, end: int
    ) -> tuple[Tree, ...] | None:
        rest = symbols[1:]
        for middle in range(start + 1, end - len(rest) + 1):
            first = self._trees(symbols[:1], start, middle)
            others = self._trees(rest, middle, end) if first else None
            if first and others:
                return first + others
        return None


def records(source: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Every split of a task's `source:` as texts: split → column → one text per row."""
    grammar = Grammar.of(source)
    lengths = list(grammar.sentences(source["length"]["min"], source["length"]["max"]))
    stream = draws.Draws(source["seed"])

    def draw() -> Iterator[tuple[str, list[draws.Row]]]:
        for number in stream.below(np.full(CHUNK, len(lengths))).tolist():
            text = " ".join(_words(grammar, (grammar.start,), lengths[number], stream))
            yield text, [{"tokens": text}]

    return draws.splits(
        draw, source["sizes"], "sentences", "ask for fewer, or allow longer ones"
    )


def parses(row: Answered) -> float:
    return float(parse(row) is not None)


def rule_coverage(rows: Sequence[Answered]) -> float:
    """Share of the grammar's rules that some text uses; those that do not parse use
    none."""
    grammar = Grammar.of(rows[0].source)
    used = {node.rule for tree in _trees(rows) for node in tree if node.below}
    return len(used) / sum(len(set(rules)) for rules in grammar.rules.values())


def distinct_templates(rows: Sequence[Answered]) -> float:
    """The number of different templates over that of texts; one that does not parse has
    none."""
    grammar = Grammar.of(rows[0].source)
    return len({template(grammar, tree) for tree in _trees(rows)}) / len(rows)


def parse(row: Answered) -> Tree | None:
    """The tree of an answer."""
    return Parser(Grammar.of(row.source), row.answer).tree()


def template(grammar: Grammar, tree: Tree) -> Symbols:
    """A sentence in which symbols that are a choice of words stand for the words."""
    if not tree.below:
        return (tree.symbol,)
    rules = grammar.rules[tree.symbol]
    if all(len(rule) == 1 and rule[0] not in grammar.rules for rule in rules):
        return (tree.symbol,)
    return tuple(part for below in tree.below for part in template(grammar, below))


def _trees(rows: Sequence[Answered]) -> Iterator[Tree]:
    return filter(None, map(parse, rows))


def _words(
    grammar: Grammar, symbols: Symbols, length: int, stream: draws.Draws
) -> list[str]:
    """So many words that the symbols become, any way as likely as any other."""
    first, rest = symbols[0], symbols[1:]
    number = stream.one_below(grammar.count(symbols, length))
    if rest:
        for own in range(1, length - len(rest) + 1):
            ways = grammar.count((first,), own) * grammar.count(rest, length - own)
            if number < ways:
                break
            number -= ways
        return [
            *_words(grammar, (first,), own, stream),
            *_words(grammar, rest, length - own, stream),
        ]
    if first not in grammar.rules:
        return [first]
    for rule in grammar.rules[first]:
        ways = grammar.count(rule, length)
        if number < ways:
            break
        number -= ways
    return _words(grammar, rule, length, stream)
