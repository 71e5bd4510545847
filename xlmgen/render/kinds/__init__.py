"""Decisions for the templates of each kind, one module per kind.

Templates print and do not decide. A kind whose template needs its options only, such as
a kind of a user's project, has no module here.
"""

from collections.abc import Callable
from typing import Any

from xlmgen.render.kinds import (
    block_masking,
    dropping,
    insertion,
    mask_and_delete,
    mask_and_insert,
    masking,
    network,
    ordering,
    qwen2,
    uniform_noise,
    unmasking,
)
from xlmgen.spec.family import FamilySpec

# (component, kind) → name of the decisions in the template, and the deciding function.
DECISIONS: dict[tuple[str, str], tuple[str, Callable[[FamilySpec], Any]]] = {
    ("collator", "block_masking"): ("block_masking", block_masking.decide),
    ("collator", "dropping"): ("dropping", dropping.decide),
    ("collator", "mask_and_delete"): ("deleting", mask_and_delete.decide),
    ("collator", "masking"): ("masking", masking.decide),
    ("collator", "ordering"): ("ordering", ordering.decide),
    ("collator", "replacing"): ("replacing", uniform_noise.decide_collator),
    ("loss", "generalised_kl"): ("state", uniform_noise.decide_loss),
    ("loss", "hybrid"): ("state", uniform_noise.decide_loss),
    ("loss", "insertion"): ("objective", insertion.decide_loss),
    ("loss", "noised"): ("state", uniform_noise.decide_loss),
    ("loss", "state_entropy"): ("state", uniform_noise.decide_loss),
    ("model", "qwen2"): ("network", qwen2.decide),
    ("model", "transformer"): ("network", network.decide),
    ("predictor", "insertion"): ("insertion", insertion.decide_predictor),
    ("predictor", "mask_and_insert"): ("inserting", mask_and_insert.decide),
    ("predictor", "block_unmasking"): ("unmasking", unmasking.decide),
    ("predictor", "resampling"): ("resampling", uniform_noise.decide_predictor),
    ("predictor", "unmasking"): ("unmasking", unmasking.decide),
}

__all__ = ["DECISIONS"]
