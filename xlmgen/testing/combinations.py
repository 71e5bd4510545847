"""Generate families of all kinds and options in the schemas, for tests.

This module names no kind or option. It combines all kinds that it finds, and takes the
values of options from their schemas: values of an enum, both booleans, null, the
default, the examples, and the ends of an interval. A new kind is covered as soon as it
has a schema.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from xlmgen.io.json_schema import Schema, validator
from xlmgen.spec import contracts
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.document import Document
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import BLOCKS, Schemas, properties

SIZE = {"d_model": 16, "layers": 1, "num_heads": 2}
LONGEST = 32
TRIES = 20
"""Draws per block or combination that is wanted."""


@dataclass(frozen=True)
class Block:
    """A block of a family that is valid against its schema.

    Args:
        data: its kind and the options that are not omitted.
        traits: its kind and the values of all options, with defaults.
        provides, requires: capabilities.
    """

    data: Mapping[str, Any] | None
    traits: frozenset[str]
    provides: frozenset[str]
    requires: frozenset[str]


@dataclass(frozen=True)
class Combination:
    """Blocks of a family, and their kinds; '' for an omitted block."""

    kinds: Mapping[str, str]
    blocks: Mapping[str, Block]

    @property
    def unmet(self) -> frozenset[str]:
        """Required capabilities that no block provides."""
        blocks = self.blocks.values()
        provided = frozenset[str]().union(*(block.provides for block in blocks))
        return frozenset[str]().union(*(b.requires for b in blocks)) - provided

    @property
    def traits(self) -> frozenset[str]:
        return frozenset[str]().union(*(b.traits for b in self.blocks.values()))

    def document(self, name: str) -> Document:
        """Return the YAML file of the family with a name."""
        data = {
            "spec": "xlmgen/family/v1",
            "name": name,
            "title": "A family",
            **{key: self.blocks[key].data for key in BLOCKS},
            "sizes": {"tiny": SIZE},
        }
        return load_yaml("family.yaml", yaml.safe_dump(data, sort_keys=False))


class Combinations:
    """Blocks of all kinds in the schemas, and their combinations.

    Args:
        each: maximum number of blocks to draw per kind.
    """

    def __init__(self, schemas: Schemas, *, each: int, seed: int = 0) -> None:
        self.schemas = schemas
        self.random = random.Random(seed)
        self.blocks = {
            (block, kind): self._blocks(block, kind, each)
            for block in BLOCKS
            for kind in schemas.kinds(block)
        }
        nothing = Block(None, frozenset({"noise_schedule"}), frozenset(), frozenset())
        self.blocks["noise_schedule", ""] = [nothing]

    def any(self) -> Iterator[Combination]:
        """Yield combinations of arbitrary blocks, most of which break a contract."""
        while True:
            kinds = {b: self.random.choice(kinds) for b, kinds in self.kinds.items()}
            yield self._combine(kinds)

    def valid(self, each: int) -> list[Combination]:
        """Yield combinations that contracts allow, at most `each` per mix of kinds."""
        found: list[Combination] = []
        for kinds in itertools.product(*self.kinds.values()):
            mix = dict(zip(self.kinds, kinds, strict=True))
            if self._could_fit(mix):
                draws = (self._combine(mix) for _ in range(TRIES * each))
                fitting = (drawn for drawn in draws if not drawn.unmet)
                found += itertools.islice(fitting, each)
        return found

    @property
    def kinds(self) -> dict[str, list[str]]:
        """The kinds of every block; '' for an omitted block."""
        return {b: [k for block, k in self.blocks if block == b] for b in BLOCKS}

    def _could_fit(self, mix: Mapping[str, str]) -> bool:
        """Whether blocks of these kinds can provide all that they require."""
        drawn = [self.blocks[key] for key in mix.items()]
        offered = frozenset[str]().union(*(b.provides for bs in drawn for b in bs))
        return all(any(b.requires <= offered for b in blocks) for blocks in drawn)

    def _combine(self, mix: Mapping[str, str]) -> Combination:
        drawn = {key[0]: self.random.choice(self.blocks[key]) for key in mix.items()}
        return Combination(mix, drawn)

    def _blocks(self, block: str, kind: str, count: int) -> list[Block]:
        """Draw different valid blocks of a kind, starting with the default one."""
        schema = self.schemas.kind(block, kind)
        judge, found = validator(schema), dict[frozenset[str], Block]()
        for _ in range(TRIES * count):
            data = self._mapping(schema, {"kind": kind})
            if judge.is_valid(data):
                made = self._block(block, schema, data)
                found.setdefault(made.traits, made)
            if len(found) == count:
                break
        return list(found.values())

    def _block(self, block: str, schema: Schema, data: Mapping[str, Any]) -> Block:
        filled = fill_defaults(data, schema)
        alone = {block: filled}
        provides = contracts.capabilities(alone, self.schemas)
        requires = contracts.requirements(alone, self.schemas)
        traits = frozenset(_flat(f"{block}.{filled['kind']}", filled))
        return Block(data, traits, provides, requires)

    def _mapping(self, schema: Schema, start: Mapping[str, Any]) -> dict[str, Any]:
        """Draw some keys of a mapping; available keys may depend on those drawn."""
        drawn, seen = dict(start), set(start)
        while new := [key for key in properties(schema, drawn) if key not in seen]:
            seen.add(new[0])
            known = properties(schema, drawn)[new[0]]
            if "default" not in known or self.random.random() < 0.5:
                drawn[new[0]] = self._value(known)
        return drawn

    def _value(self, schema: Schema) -> Any:
        value = self.random.choice(list(_values(schema)))
        return self._mapping(value.schema, {}) if isinstance(value, _Mapping) else value


@dataclass(frozen=True)
class _Mapping:
    """Placeholder for any mapping that a schema allows."""

    schema: Schema


def _values(schema: Schema) -> Iterator[Any]:
    """Collect candidate values of an option from its schema; some may be invalid."""
    for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from _values(part)
    yield from schema.get("enum", ())
    yield from (schema[key] for key in ("const", "default", "minimum") if key in schema)
    yield from schema.get("examples", ())
    if "null" in schema.get("type", ()):
        yield None
    if "boolean" in schema.get("type", ()):
        yield from (False, True)
    if "number" in schema.get("type", ()) and "maximum" in schema:
        yield schema["maximum"]
    if "properties" in schema:
        yield _Mapping(schema)


def covering(pool: Sequence[Combination]) -> list[Combination]:
    """Select few combinations that cover all pairs of traits in the pool.

    Greedy: always takes the one with the most uncovered pairs.
    """
    number: dict[tuple[str, ...], int] = {}
    shown = []
    for combination in pool:
        bits = 0
        for pair in itertools.combinations(sorted(combination.traits), 2):
            bits |= 1 << number.setdefault(pair, len(number))
        shown.append(bits)
    left, chosen = (1 << len(number)) - 1, []
    while left:
        best = max(
            range(len(pool)), key=lambda index: (shown[index] & left).bit_count()
        )
        left &= ~shown[best]
        chosen.append(pool[best])
    return chosen


def names() -> Iterator[str]:
    """Yield `a` to `z`, then other names, every second one of maximum length."""
    yield from "abcdefghijklmnopqrstuvwxyz"
    for index in itertools.count():
        name = f"x{index}"
        yield name if index % 2 else f"{name}_{'y' * LONGEST}"[:LONGEST]


def _flat(path: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}={value!r}"]
    return [t for key, item in value.items() for t in _flat(f"{path}.{key}", item)]
