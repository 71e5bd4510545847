"""Where YAML reaches code: every `python:`, every kind of the project's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.review.side import Spec
from xlmgen.spec.document import Path, dotted
from xlmgen.spec.schemas import BLOCKS

HOOK = "python"  # the key under which YAML names code


@dataclass(frozen=True)
class Hook:
    """A place where YAML reaches code.

    Args:
        target: what is run, or the template that the block is rendered by.
    """

    path: str
    line: int
    key: str
    target: str
    new: bool
    verb: str = "runs"


def hooks(before: Mapping[str, Spec], after: Mapping[str, Spec]) -> Iterator[Hook]:
    """Every place in the specs after, and whether the ones before had it."""
    for path, spec in after.items():
        known = set(_all(before[path])) if path in before else set()
        for key, target, verb in _all(spec):
            line = spec.document.span(key, key=True).line
            new = (key, target, verb) not in known
            yield Hook(path, line, dotted(key), target, new, verb)


def _all(spec: Spec) -> Iterator[tuple[Path, str, str]]:
    for key, target in _targets(spec.data):
        yield key, target, "runs"
    if spec.kind == "family" and spec.project.root is not None:
        blocks = {block: spec.data.get(block) for block in BLOCKS}
        names = ((b, o.get("kind")) for b, o in blocks.items() if isinstance(o, dict))
        for own in spec.project.used(names):
            template = own.template.relative_to(spec.project.root).as_posix()
            yield (own.block, "kind"), template, "is rendered by the project's own"


def _targets(data: Any, at: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every `python:` in a spec, with what it names."""
    if not isinstance(data, dict | list):
        return
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if key == HOOK and isinstance(value, str):
            yield (*at, key), value
        else:
            yield from _targets(value, (*at, key))
