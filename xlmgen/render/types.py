"""Types of batches and loss outputs, as the kinds of a family declare them.

A collator's schema lists the fields of its batches under `x-batch` (training) and
`x-prompt` (generation), a loss's schema its output under `x-output`. Rendered types,
documentation and tests follow from these lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.spec.family import FamilySpec
from xlmgen.spec.schemas import satisfies

LETTERS = {
    "A": "answer positions",
    "B": "rows",
    "L": "positions",
    "N": "selected positions",
    "P": "prompt positions",
    "S": "slots",
    "D": "dropped tokens",
}


@dataclass(frozen=True)
class Field:
    """A field of a batch or an output: `name: type`."""

    name: str
    type: str
    about: str

    @property
    def shape(self) -> str:
        """The dimensions of a tensor: `(B, L)`; empty for other types."""
        if '"' not in self.type:
            return ""
        letters = self.type.split('"')[1].split()
        return f"({', '.join(letters)})"


@dataclass(frozen=True)
class Types:
    batch: tuple[Field, ...]
    prompt: tuple[Field, ...]
    output: tuple[Field, ...]

    @property
    def _all(self) -> tuple[Field, ...]:
        return (*self.batch, *self.prompt, *self.output)

    @property
    def jaxtyping(self) -> tuple[str, ...]:
        """The names to import from jaxtyping."""
        text = " ".join(field.type for field in self._all)
        return tuple(kind for kind in ("Bool", "Float", "Int") if f"{kind}[" in text)

    @property
    def legend(self) -> str:
        """Meanings of the letters in the shapes."""
        used = " ".join(field.shape for field in self._all)
        words = [
            f"{letter} {word}" for letter, word in LETTERS.items() if letter in used
        ]
        return ", ".join(words) + "."


def decide(family: FamilySpec) -> Types:
    """Select the fields that apply to the family's options."""

    def fields(component: str, keyword: str) -> tuple[Field, ...]:
        part = getattr(family, component)
        schema = family.project.schemas.kind(component, part.kind)
        entries: list[Mapping[str, Any]] = schema[keyword]
        return tuple(
            Field(entry["name"], entry["type"], entry["about"])
            for entry in entries
            if satisfies(entry.get("when", {}), dict(part.options))
        )

    return Types(
        batch=fields("collator", "x-batch"),
        prompt=fields("collator", "x-prompt"),
        output=fields("loss", "x-output"),
    )
