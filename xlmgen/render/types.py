"""The tensors that the parts of a family pass on, as its kinds declare them.

A collator's schema lists what its batches hold under `x-batch` (training) and
`x-prompt` (generation), a loss's under `x-output`. Types, documentation and generated
tests all follow from these lists.
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
    "N": "chosen positions",
    "P": "prompt positions",
    "S": "slots",
    "D": "dropped tokens",
}


@dataclass(frozen=True)
class Field:
    """One entry of a batch or an output: `name: type`."""

    name: str
    type: str
    about: str

    @property
    def shape(self) -> str:
        """The dimensions between the quotes: `(B, L)`; empty for no tensor."""
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
        """What the letters of the shapes stand for."""
        used = " ".join(field.shape for field in self._all)
        words = [
            f"{letter} {word}" for letter, word in LETTERS.items() if letter in used
        ]
        return ", ".join(words) + "."


def decide(family: FamilySpec) -> Types:
    """The fields that this family's options leave."""

    def fields(block: str, keyword: str) -> tuple[Field, ...]:
        part = getattr(family, block)
        schema = family.project.schemas.kind(block, part.kind)
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
