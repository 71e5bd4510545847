"""Where YAML reaches code: every `python:` of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.review.side import Spec
from xlmgen.spec.document import Path, dotted

HOOK = "python"  # the key under which YAML names code


@dataclass(frozen=True)
class Hook:
    """A place where YAML reaches code."""

    path: str
    line: int
    key: str
    target: str
    new: bool


def hooks(before: Mapping[str, Spec], after: Mapping[str, Spec]) -> Iterator[Hook]:
    """Every place in the specs after, and whether the ones before had it."""
    for path, spec in after.items():
        known = set(_targets(before[path].data)) if path in before else set()
        for key, target in _targets(spec.data):
            line = spec.document.span(key, key=True).line
            new = (key, target) not in known
            yield Hook(path, line, dotted(key), target, new)


def _targets(data: Any, at: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every `python:` in a spec, with what it names."""
    if not isinstance(data, dict | list):
        return
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if key == HOOK and isinstance(value, str):
            yield (*at, key), value
        else:
            yield from _targets(value, (*at, key))
