"""Test suites that a family's rendered tests inherit.

A kind's schema lists them under `x-tests`: a class of `xlmgen.testing`, or
`package.module:Class` for a suite of the kind's author. `{suite, when}` adds a
condition on the component's options. A loss also gets the suites that prove what it
gives (`xlmgen.spec.likelihood`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xlmgen.render.plan import COMPONENTS, own_schedule
from xlmgen.render.python import imports
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.likelihood import proofs
from xlmgen.spec.schemas import satisfies

KIT = "xlmgen.testing"


@dataclass(frozen=True)
class Suites:
    """Suites of one rendered test file: modules and names of classes."""

    modules: Sequence[tuple[str, str]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.modules)

    @property
    def imports(self) -> str:
        """Import statements, one per module; those of the kit are the last block."""
        by_module: dict[str, list[str]] = {}
        for module, name in self.modules:
            by_module.setdefault(module, []).append(name)
        kit = by_module.pop(KIT, [])
        own = "\n".join(imports(*entry) for entry in sorted(by_module.items()))
        return "\n\n".join(filter(None, [own, imports(KIT, kit) if kit else ""]))


def decide(family: FamilySpec) -> dict[str, Suites]:
    """Return the suites of every component with a test file, by component."""
    tested = (*COMPONENTS, *(("noise_schedule",) if own_schedule(family) else ()))
    return {component: _suites(family, component) for component in tested}


def _suites(family: FamilySpec, component: str) -> Suites:
    part = getattr(family, component)
    modules = []
    for entry in family.project.schemas.kind(component, part.kind).get("x-tests", ()):
        clause: dict[str, Any] = {"suite": entry} if isinstance(entry, str) else entry
        if satisfies(clause.get("when", {}), dict(part.options)):
            module, _, name = clause["suite"].rpartition(":")
            modules.append((module or KIT, name))
    if component == "loss":
        proven = proofs(family.likelihood.gives, family.provided)
        modules += [(KIT, name) for name in proven]
    return Suites(tuple(dict.fromkeys(modules)))
