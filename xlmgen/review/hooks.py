"""List the places where YAML runs code: every `python:` and every own kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xlmgen.review.side import Spec
from xlmgen.spec import hooks as spec_hooks
from xlmgen.spec.document import Path, dotted
from xlmgen.spec.schemas import COMPONENTS


@dataclass(frozen=True)
class Hook:
    """A place where YAML runs code.

    Args:
        path: of the spec, from the top of the repository.
        line: in the spec, from 1.
        key: dotted path of the key.
        target: the function that is run, or the template of the component.
        new: whether the spec did not have it before.
        verb: connects key and target in messages.
    """

    path: str
    line: int
    key: str
    target: str
    new: bool
    verb: str = "runs"


def hooks(before: Mapping[str, Spec], after: Mapping[str, Spec]) -> Iterator[Hook]:
    """Yield every hook of the new specs, and whether it is new."""
    for path, spec in after.items():
        known = set(_all(before[path])) if path in before else set()
        for key, target, verb in _all(spec):
            line = spec.document.span(key, key=True).line
            new = (key, target, verb) not in known
            yield Hook(path, line, dotted(key), target, new, verb)


def _all(spec: Spec) -> Iterator[tuple[Path, str, str]]:
    for key, target in spec_hooks.hooks(spec.data):
        yield key, target, "runs"
    if spec.kind == "family" and spec.project.root is not None:
        components = {component: spec.data.get(component) for component in COMPONENTS}
        names = (
            (b, o.get("kind")) for b, o in components.items() if isinstance(o, dict)
        )
        for own in spec.project.used(names):
            template = own.template.relative_to(spec.project.root).as_posix()
            yield (own.component, "kind"), template, "is rendered by the project's own"
