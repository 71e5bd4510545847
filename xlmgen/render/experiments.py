"""What the experiments of a family are set to."""

from __future__ import annotations

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec

FILLING = frozenset({"masked", "block_masked", "mask_and_insert"})
"""Kinds of loss that score masked tokens only, a part of each row, and learn slower."""


@dataclass(frozen=True)
class Experiments:
    """The sizes to train, and for how long."""

    tiny: str  # the size that trains on a CPU
    size: str  # that of the field's setting
    long: bool  # of the field's settings the one with more steps and a cosine
    dropout: bool  # whether the network has any that an experiment can set to 0


def decide(family: FamilySpec) -> Experiments:
    """The sizes by their usual names, or the first that the family lists."""
    first = next(iter(family.sizes))
    tiny = "tiny" if "tiny" in family.sizes else first
    return Experiments(
        tiny=tiny,
        size="small" if "small" in family.sizes else tiny,
        long=family.loss.kind in FILLING,
        dropout="dropout" in family.model.options,
    )
