"""What is known of a generator of examples before it is run.

A generator is three files of its name: `schemas/kinds/generator/<name>.schema.json`
for its settings, its layout and its metrics; a module here that says what follows from
the settings; and `xlmgen/tasks/<name>.py`, which makes the examples and scores answers.

A module here imports nothing heavy and has three functions of the settings, defaults
filled in. They are called with settings that the schema allows:

* `problems(document, source)`: the settings that do not fit together;
* `longest(source)`: the most tokens of an example, by the key of the block;
* `words(source)`: every word that an example may have.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from xlmgen.io.json_schema import Schema
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.schemas import GENERATOR, built_in

Source = Mapping[str, Any]


class Shape(Protocol):
    """A module of this package."""

    def problems(self, document: Document, source: Source) -> Iterator[Diagnostic]: ...

    def longest(self, source: Source) -> Mapping[str, int]: ...

    def words(self, source: Source) -> Iterable[str]: ...


@dataclass(frozen=True)
class GeneratorMetric:
    """A metric that knows the rules of a generator's examples.

    Args:
        name: as in a task's `metrics`.
        about: when it is 1, or what it is the share of.
        generator: whose rules.
        files: whether it needs no setting, so that examples from files can have it.
        whole: whether it is one number of all answers together, not one of each.
    """

    name: str
    about: str
    generator: str
    files: bool = False
    whole: bool = False


def generators() -> list[str]:
    """The names of all generators."""
    return list(built_in().kinds(GENERATOR))


def schema(name: str) -> Schema:
    """The schema of a generator's settings."""
    return built_in().kind(GENERATOR, name)


def layout(name: str) -> str:
    """The layout of a generator's examples."""
    return str(schema(name)["x-layout"])


def shape(name: str) -> Shape:
    """The generator's module here."""
    module: Any = importlib.import_module(f"{__name__}.{name}")
    return module


@cache
def metrics() -> dict[str, GeneratorMetric]:
    """The metrics of all generators, by name; no two have one of the same name."""
    found: dict[str, GeneratorMetric] = {}
    for generator in generators():
        for entry in schema(generator)["x-metrics"]:
            assert entry["name"] not in found
            found[entry["name"]] = GeneratorMetric(**entry, generator=generator)
    return found


def inverted(document: Document, source: Source, key: str) -> Iterator[Diagnostic]:
    """The problem of a range whose `max` is less than its `min`, if it is one."""
    low, high = source[key]["min"], source[key]["max"]
    if high < low:
        yield document.diagnostic(
            "XG105", ("source", key), f"max {high} is less than min {low}"
        )
