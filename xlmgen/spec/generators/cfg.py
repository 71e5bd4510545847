"""Properties of a context-free grammar: unusable rules, and numbers of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted_range
from xlmgen.spec.messages import did_you_mean

Symbols = tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    """A context-free grammar without empty rules.

    Args:
        start: the start symbol.
        rules: alternatives of each nonterminal. Symbols without rules are words.
    """

    start: str
    rules: Mapping[str, tuple[Symbols, ...]]
    _counts: dict[tuple[Symbols, int], int] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, source: Source) -> Grammar:
        rules = {
            name: tuple(tuple(text.split()) for text in texts)
            for name, texts in source["rules"].items()
        }
        return cls(source["start"], rules)

    def count(self, symbols: Symbols, length: int) -> int:
        """Count the derivations of `length` words from these symbols."""
        if len(symbols) > length or not symbols:
            return int(not symbols and not length)
        key = (symbols, length)
        if key not in self._counts:
            first, rest = symbols[0], symbols[1:]
            if rest:
                self._counts[key] = sum(
                    self.count((first,), words) * self.count(rest, length - words)
                    for words in range(1, length - len(rest) + 1)
                )
            elif first in self.rules:
                self._counts[key] = sum(
                    self.count(rule, length) for rule in self.rules[first]
                )
            else:
                self._counts[key] = int(length == 1)
        return self._counts[key]

    def sentences(self, low: int, high: int) -> dict[int, int]:
        """Count the derivations of sentences of each length from `low` to `high`.

        Lengths without sentences are omitted. An ambiguous sentence is counted several
        times.
        """
        counts = {n: self.count((self.start,), n) for n in range(1, high + 1)}
        return {n: count for n, count in counts.items() if n >= low and count}

    def cycle(self) -> list[str]:
        """Return a cycle of symbols that derive each other without adding words.

        Each can be replaced by the next alone, and the last by the first; empty if
        there is no cycle.
        """
        becomes = {
            name: [
                rule[0] for rule in rules if len(rule) == 1 and rule[0] in self.rules
            ]
            for name, rules in self.rules.items()
        }
        done: set[str] = set()

        def follow(name: str, path: list[str]) -> list[str]:
            if name in path:
                return path[path.index(name) :]
            if name in done:
                return []
            found = (follow(after, [*path, name]) for after in becomes[name])
            cycle = next(filter(None, found), [])
            done.add(name)
            return cycle

        return next(filter(None, (follow(name, []) for name in self.rules)), [])

    def unproductive(self) -> list[str]:
        """Return the symbols that derive no sequence of words."""
        good: set[str] = set()
        while new := {
            name
            for name, rules in self.rules.items()
            if name not in good
            and any(all(s in good or s not in self.rules for s in r) for r in rules)
        }:
            good |= new
        return [name for name in self.rules if name not in good]

    def unused(self) -> list[str]:
        """Return the symbols that cannot be reached from the start symbol."""
        reached = [self.start]
        for name in reached:
            for symbol in (symbol for rule in self.rules[name] for symbol in rule):
                if symbol in self.rules and symbol not in reached:
                    reached.append(symbol)
        return [name for name in self.rules if name not in reached]


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    grammar = Grammar.of(source)
    rules = ("source", "rules")
    if grammar.start not in grammar.rules:
        guess = did_you_mean(grammar.start, grammar.rules)
        yield document.diagnostic(
            "XG104",
            ("source", "start"),
            f"there are no rules for '{grammar.start}'",
            guess or f"one of {', '.join(grammar.rules)}",
        )
        return
    if cycle := grammar.cycle():
        yield document.diagnostic(
            "XG108",
            (*rules, cycle[0]),
            f"rules form a cycle without words: {' → '.join([*cycle, cycle[0]])}",
            "remove one of them",
        )
        return
    if unproductive := grammar.unproductive():
        yield document.diagnostic(
            "XG108",
            (*rules, unproductive[0]),
            f"'{unproductive[0]}' derives no words: each of its rules needs itself or "
            "another such symbol",
            "add a rule of words",
        )
        return
    for name in grammar.unused():
        yield document.diagnostic(
            "XG108", (*rules, name), f"'{name}' is used in no sentence", "remove it"
        )
    wrong = list(inverted_range(document, source, "length"))
    if wrong:
        yield from wrong
        return
    low, high = source["length"]["min"], source["length"]["max"]
    total = sum(grammar.sentences(low, high).values())
    wanted = sum(source["sizes"].values())
    if total < wanted:
        yield document.diagnostic(
            "XG105",
            ("source", "sizes"),
            f"needs {wanted:,} different sentences, but there are at most {total:,} of "
            f"{low} to {high} words",
            "use fewer, or allow longer ones",
        )


def longest(source: Source) -> dict[str, int]:
    lengths = Grammar.of(source).sentences(
        source["length"]["min"], source["length"]["max"]
    )
    return {"length": max(lengths)}


def words(source: Source) -> Iterable[str]:
    grammar = Grammar.of(source)
    return dict.fromkeys(
        symbol
        for rules in grammar.rules.values()
        for rule in rules
        for symbol in rule
        if symbol not in grammar.rules
    )
