"""A family's spec, validated and with all defaults filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.spec.contracts import capabilities
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import SpecError, errors
from xlmgen.spec.document import Document
from xlmgen.spec.likelihood import Likelihood, likelihood
from xlmgen.spec.load import load_yaml
from xlmgen.spec.project import BUILT_IN, OwnKind, Project, project_of
from xlmgen.spec.schemas import COMPONENTS
from xlmgen.spec.validate import validate


@dataclass(frozen=True)
class Component:
    """A component of a spec: its kind and all options of that kind."""

    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class FamilySpec:
    """A family's spec.

    Args:
        sizes: numbers of each named size; numbers that are null are absent.
        source: the YAML text.
        project: with its kinds.
    """

    name: str
    title: str
    summary: str
    papers: tuple[str, ...]
    collator: Component
    model: Component
    loss: Component
    predictor: Component
    noise_schedule: Component | None
    sizes: Mapping[str, Mapping[str, int]]
    source: str
    project: Project = BUILT_IN

    @property
    def components(self) -> dict[str, dict[str, Any]]:
        """Its components, each with its kind among its options."""
        components = {name: getattr(self, name) for name in COMPONENTS}
        return {
            name: {"kind": component.kind, **component.options}
            for name, component in components.items()
            if component is not None
        }

    @property
    def provided(self) -> frozenset[str]:
        """Capabilities of its components."""
        return capabilities(self.components, self.project.schemas)

    @property
    def likelihood(self) -> Likelihood:
        """What its loss gives."""
        schema = self.project.schemas.kind("loss", self.loss.kind)
        return likelihood(self.components["loss"], schema, self.provided)

    @property
    def own_kinds(self) -> list[OwnKind]:
        """Its kinds that are the project's own."""
        return self.project.used(
            (name, options["kind"]) for name, options in self.components.items()
        )


def family_spec(document: Document, project: Project | None = None) -> FamilySpec:
    """Validate a document and return its spec.

    Args:
        project: with its kinds; by default the project of the document's file.

    Raises:
        SpecError: the document has problems; the exception has all of them.
    """
    schemas = None if project is None else project.schemas
    problems = errors(validate(document, "family", schemas))
    if problems:
        raise SpecError(problems)
    return settle_family(document, project)


def settle_family(document: Document, project: Project | None = None) -> FamilySpec:
    """Return the spec of a document without errors."""
    project = project or project_of(document.file)
    data = fill_defaults(document.data, project.schemas.schema("family"))
    noise_schedule = data["noise_schedule"]
    return FamilySpec(
        name=data["name"],
        title=data["title"].strip(),
        summary=" ".join(data["summary"].split()),
        papers=tuple(data["papers"]),
        collator=_component(data["collator"]),
        model=_component(data["model"]),
        loss=_component(data["loss"]),
        predictor=_component(data["predictor"]),
        noise_schedule=None if noise_schedule is None else _component(noise_schedule),
        sizes={
            size: {key: n for key, n in numbers.items() if n is not None}
            for size, numbers in data["sizes"].items()
        },
        source=document.text,
        project=project,
    )


def read_family(path: str | os.PathLike[str]) -> FamilySpec:
    """Read and validate the spec in a YAML file.

    Raises:
        SpecError: the file cannot be read or has problems.
    """
    return family_spec(load_yaml(path))


def _component(data: dict[str, Any]) -> Component:
    return Component(data["kind"], {k: v for k, v in data.items() if k != "kind"})
