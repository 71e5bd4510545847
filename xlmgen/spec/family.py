"""A family's spec, checked and with every default filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import SpecError, errors
from xlmgen.spec.document import Document
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import BLOCKS, Schemas, built_in
from xlmgen.spec.validate import validate


@dataclass(frozen=True)
class Part:
    """One block of a spec: its kind, and all options of that kind."""

    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class FamilySpec:
    """What one family's YAML says.

    Args:
        sizes: the numbers of each named size; a number left to the model is absent.
        source: the YAML text itself.
    """

    name: str
    title: str
    summary: str
    papers: tuple[str, ...]
    collator: Part
    model: Part
    loss: Part
    predictor: Part
    noise_schedule: Part | None
    sizes: Mapping[str, Mapping[str, int]]
    source: str

    @property
    def blocks(self) -> dict[str, dict[str, Any]]:
        """The blocks that it has, each with its kind among its options."""
        parts = {block: getattr(self, block) for block in BLOCKS}
        return {
            block: {"kind": part.kind, **part.options}
            for block, part in parts.items()
            if part is not None
        }


def family_spec(document: Document, schemas: Schemas | None = None) -> FamilySpec:
    """The spec that a document holds.

    Raises:
        SpecError: the document has problems; all of them are in the exception.
    """
    schemas = schemas or built_in()
    problems = errors(validate(document, "family", schemas))
    if problems:
        raise SpecError(problems)
    return settle_family(document, schemas)


def settle_family(document: Document, schemas: Schemas | None = None) -> FamilySpec:
    """The spec in a document without errors."""
    schemas = schemas or built_in()
    data = fill_defaults(document.data, schemas.schema("family"))
    noise_schedule = data["noise_schedule"]
    return FamilySpec(
        name=data["name"],
        title=data["title"].strip(),
        summary=" ".join(data["summary"].split()),
        papers=tuple(data["papers"]),
        collator=_part(data["collator"]),
        model=_part(data["model"]),
        loss=_part(data["loss"]),
        predictor=_part(data["predictor"]),
        noise_schedule=None if noise_schedule is None else _part(noise_schedule),
        sizes={
            size: {key: n for key, n in numbers.items() if n is not None}
            for size, numbers in data["sizes"].items()
        },
        source=document.text,
    )


def read_family(
    path: str | os.PathLike[str], schemas: Schemas | None = None
) -> FamilySpec:
    """The spec in a YAML file.

    Raises:
        SpecError: the file cannot be read or has problems.
    """
    return family_spec(load_yaml(path), schemas)


def _part(block: dict[str, Any]) -> Part:
    return Part(block["kind"], {k: v for k, v in block.items() if k != "kind"})
