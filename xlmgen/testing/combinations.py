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
from xlmgen.spec.schemas import COMPONENTS, Schemas, properties

SIZE = {"d_model": 16, "layers": 1, "num_heads": 2}
LONGEST = 32
TRIES = 20
"""Draws per component or combination that is wanted."""


@dataclass(frozen=True)
class Candidate:
    """A component of a family that is valid against its schema.

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
    """Components of a family, and their kinds; '' for an omitted component."""

    kinds: Mapping[str, str]
    components: Mapping[str, Candidate]

    @property
    def unmet(self) -> frozenset[str]:
        """Required capabilities that no component provides."""
        components = self.components.values()
        provided = frozenset[str]().union(
            *(component.provides for component in components)
        )
        return frozenset[str]().union(*(c.requires for c in components)) - provided

    @property
    def traits(self) -> frozenset[str]:
        return frozenset[str]().union(*(c.traits for c in self.components.values()))

    def document(self, name: str) -> Document:
        """Return the YAML file of the family with a name."""
        data = {
            "spec": "xlmgen/family/v1",
            "name": name,
            "title": "A family",
            **{key: self.components[key].data for key in COMPONENTS},
            "sizes": {"tiny": SIZE},
        }
        return load_yaml("family.yaml", yaml.safe_dump(data, sort_keys=False))


class Combinations:
    """Components of all kinds in the schemas, and their combinations.

    Args:
        each: maximum number of components to draw per kind.
    """

    def __init__(self, schemas: Schemas, *, each: int, seed: int = 0) -> None:
        self.schemas = schemas
        self.random = random.Random(seed)
        self.components = {
            (component, kind): self._components(component, kind, each)
            for component in COMPONENTS
            for kind in schemas.kinds(component)
        }
        nothing = Candidate(
            None, frozenset({"noise_schedule"}), frozenset(), frozenset()
        )
        self.components["noise_schedule", ""] = [nothing]

    def any(self) -> Iterator[Combination]:
        """Yield arbitrary combinations, most of which break a contract."""
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
        """The kinds of every component; '' for an omitted component."""
        return {c: [k for name, k in self.components if name == c] for c in COMPONENTS}

    def _could_fit(self, mix: Mapping[str, str]) -> bool:
        """Whether components of these kinds can provide all that they require."""
        drawn = [self.components[key] for key in mix.items()]
        offered = frozenset[str]().union(*(b.provides for bs in drawn for b in bs))
        return all(
            any(c.requires <= offered for c in components) for components in drawn
        )

    def _combine(self, mix: Mapping[str, str]) -> Combination:
        drawn = {
            key[0]: self.random.choice(self.components[key]) for key in mix.items()
        }
        return Combination(mix, drawn)

    def _components(self, component: str, kind: str, count: int) -> list[Candidate]:
        """Draw different valid components of a kind, starting with the default one."""
        schema = self.schemas.kind(component, kind)
        judge, found = validator(schema), dict[frozenset[str], Candidate]()
        for _ in range(TRIES * count):
            data = self._mapping(schema, {"kind": kind})
            if judge.is_valid(data):
                made = self._component(component, schema, data)
                found.setdefault(made.traits, made)
            if len(found) == count:
                break
        return list(found.values())

    def _component(
        self, component: str, schema: Schema, data: Mapping[str, Any]
    ) -> Candidate:
        filled = fill_defaults(data, schema)
        alone = {component: filled}
        provides = contracts.capabilities(alone, self.schemas)
        requires = contracts.requirements(alone, self.schemas)
        traits = frozenset(_flat(f"{component}.{filled['kind']}", filled))
        return Candidate(data, traits, provides, requires)

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
