"""Properties of a generator's examples that follow from its settings.

A generator has three files of its name: `schemas/kinds/generator/<name>.schema.json`
with its settings, layout and metrics; a module here with properties that follow from
the settings; and `xlmgen/tasks/<name>.py`, which generates examples and scores answers.

A module here imports nothing heavy. It has three functions of valid settings with
defaults filled in:

* `problems(document, source)`: settings that contradict each other;
* `longest(source)`: maximum number of tokens of an example, by the key of `max_length`;
* `words(source)`: all words that examples may contain.
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
    """A metric that checks the rules of a generator.

    Args:
        name: as in a task's `metrics`.
        about: the condition for a score of 1, or the share that it measures.
        generator: whose rules it checks.
        files: whether it needs no settings and so works for examples from files.
        whole: whether it scores all answers together instead of each one.
        board: whether it reads a sequence as a square board, row by row.
    """

    name: str
    about: str
    generator: str
    files: bool = False
    whole: bool = False
    board: bool = False


def generators() -> list[str]:
    """Return the names of all generators."""
    return list(built_in().kinds(GENERATOR))


def schema(name: str) -> Schema:
    """Return the schema of a generator's settings."""
    return built_in().kind(GENERATOR, name)


def layout(name: str) -> str:
    """Return the layout of a generator's examples."""
    return str(schema(name)["x-layout"])


def shape(name: str) -> Shape:
    """Import the generator's module of this package."""
    module: Any = importlib.import_module(f"{__name__}.{name}")
    return module


@cache
def metrics() -> dict[str, GeneratorMetric]:
    """Return the metrics of all generators, by name; names are unique."""
    found: dict[str, GeneratorMetric] = {}
    for generator in generators():
        for entry in schema(generator)["x-metrics"]:
            assert entry["name"] not in found
            found[entry["name"]] = GeneratorMetric(**entry, generator=generator)
    return found


def inverted_range(
    document: Document, source: Source, key: str
) -> Iterator[Diagnostic]:
    """Report a range whose `max` is less than its `min`."""
    low, high = source[key]["min"], source[key]["max"]
    if high < low:
        yield document.diagnostic(
            "XG105", ("source", key), f"max {high} is less than min {low}"
        )
