"""Settings of a family's rendered experiments."""

from __future__ import annotations

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec

FILLING = frozenset(
    {
        *("masked", "block_masked", "mask_and_insert"),
        *("generalised_kl", "hybrid", "noised", "score_entropy", "state_entropy"),
    }
)
"""Kinds of loss that learn from the noised tokens of each row and train more slowly."""


@dataclass(frozen=True)
class Experiments:
    """Sizes and lengths of training runs."""

    tiny: str  # size for training on a CPU
    size: str  # size of the published settings
    long: bool  # published setting with more steps and a cosine schedule
    dropout: bool  # whether the network has dropout that an experiment can disable


def decide(family: FamilySpec) -> Experiments:
    """Choose sizes by their usual names, else the first size of the family."""
    first = next(iter(family.sizes))
    tiny = "tiny" if "tiny" in family.sizes else first
    return Experiments(
        tiny=tiny,
        size="small" if "small" in family.sizes else tiny,
        long=family.loss.kind in FILLING,
        dropout="dropout" in family.model.options,
    )
