"""Sentences of a context-free grammar.

The length of a sentence is uniform over the possible lengths, and its derivation is
uniform over all derivations of that length. Texts are scored by parsing them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xlmgen.spec.generators.cfg import Grammar, Symbols
from xlmgen.tasks import draws
from xlmgen.tasks.answered import Answered

CHUNK = 1024  # sentences drawn at once; the rows of a seed depend on it


@dataclass(frozen=True)
class Tree:
    """Parse tree of a symbol; a word has no children."""

    symbol: str
    below: tuple["Tree", ...] = ()

    def __iter__(self) -> Iterator["Tree"]:
        """This node and its descendants, depth first from left to right."""
        yield self
        for tree in self.below:
            yield from tree

    @property
    def rule(self) -> tuple[str, Symbols]:
        """The rule that was applied at this node."""
        return self.symbol, tuple(tree.symbol for tree in self.below)


@dataclass(frozen=True)
class Parser:
    """Parser that finds one parse tree of a sentence.

    Args:
        grammar: the grammar.
        words: the sentence.
    """

    grammar: Grammar
    words: Sequence[str]
    _found: dict[tuple[Symbols, int, int], tuple[Tree, ...] | None] = field(
        default_factory=dict, repr=False
    )

    def tree(self) -> Tree | None:
        """Parse tree of the sentence; None where it has none."""
        trees = self._trees((self.grammar.start,), 0, len(self.words))
        return trees[0] if trees else None

    def _trees(self, symbols: Symbols, start: int, end: int) -> tuple[Tree, ...] | None:
        """Trees of the symbols that together derive the words from start to end."""
        if len(symbols) > end - start:
            return None
        key = (symbols, start, end)
        if key not in self._found:
            several = len(symbols) > 1
            find = self._sequence if several else self._single
            self._found[key] = find(symbols, start, end)
        return self._found[key]

    def _single(
        self, symbols: Symbols, start: int, end: int
    ) -> tuple[Tree, ...] | None:
        (symbol,) = symbols
        if symbol not in self.grammar.rules:
            matches = end - start == 1 and self.words[start] == symbol
            return (Tree(symbol),) if matches else None
        for rule in self.grammar.rules[symbol]:
            below = self._trees(rule, start, end)
            if below:
                return (Tree(symbol, below),)
        return None

    def _sequence(
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
    """Generate every split of `source:` as texts: split → column → one text per row."""
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
    """Share of the grammar's rules that occur in the parse tree of some text."""
    grammar = Grammar.of(rows[0].source)
    used = {node.rule for tree in _trees(rows) for node in tree if node.below}
    return len(used) / sum(len(set(rules)) for rules in grammar.rules.values())


def distinct_templates(rows: Sequence[Answered]) -> float:
    """Number of distinct templates of texts that parse, per text."""
    grammar = Grammar.of(rows[0].source)
    return len({template(grammar, tree) for tree in _trees(rows)}) / len(rows)


def parse(row: Answered) -> Tree | None:
    """Parse tree of an answer, or None."""
    return Parser(Grammar.of(row.source), row.answer).tree()


def template(grammar: Grammar, tree: Tree) -> Symbols:
    """A sentence with every word replaced by its symbol, where that has only words."""
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
    """Draw `length` words from the symbols, uniformly over derivations."""
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
