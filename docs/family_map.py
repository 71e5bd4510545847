"""Rows of the map of families, from the capabilities of their components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xlmgen import resources
from xlmgen.registry import load_family
from xlmgen.spec.family import FamilySpec, read_family
from xlmgen.spec.likelihood import entries
from xlmgen.spec.schemas import properties

HEADER = (
    *("family", "unknown tokens are", "order", "length", "likelihood"),
    *("cache", "holes", "passes for n tokens"),
)
UNKNOWN = {
    "next_token_targets": "not there: the tokens on the left are known",
    "ordered_tokens": "not there: tokens at any positions are known",
    "hybrid_noise": "MASK or random tokens",
    "uniform_noise": "random tokens",
    "block_noise": "MASK, in one block",
    "masked_tokens": "MASK",
    "missing_tokens": "missing, then MASK",
    "dropped_tokens": "missing",
}
"""The state of a row, by what the collator provides."""
LENGTH = {
    "next_token_targets": "until EOS",
    "block_noise": "until EOS, in blocks",
    "missing_tokens": "grows",
    "dropped_tokens": "grows",
}
"""By what the collator provides; other rows have a fixed length."""
ORDER = {
    "objective:next_token": "left to right",
    "objective:insertion": "any, drawn with each token",
    "objective:state": "all tokens in every step",
}
"""By the objective, for predictors without the option `order`."""
ORDERS = {
    "random": "random",
    "left_to_right": "left to right",
    "right_to_left": "right to left",
    "top_prob": "most confident first",
    "margin": "most confident first",
    "entropy": "most confident first",
}
EXACT_WITH = {"": "exact", "single_order": "exact in one order"}
"""By the capability with which a loss is exact."""
PASSES = {
    "objective:insertion": "n + 1",
    "objective:mask_and_insert": "at most `steps` + 1",
    "objective:state": "`steps`",
}
"""By the objective, where no option decides."""
CACHE = {"cache": "exact", "block_cache": "exact, of finished blocks"}


def rows() -> Iterator[tuple[str, ...]]:
    for path in sorted((resources.root() / "families").glob("*/family.yaml")):
        family = read_family(path)
        yield (
            f"[{family.name}]({family.name}.md)",
            _first(UNKNOWN, family),
            _order(family),
            _length(family),
            _likelihood(family),
            _cache(family),
            "yes" if "infill" in load_family(family.name).collators else "no",
            _passes(family),
        )


def _found(words: Mapping[str, str], family: FamilySpec) -> Iterator[str]:
    return (capability for capability in words if capability in family.provided)


def _first(words: Mapping[str, str], family: FamilySpec) -> str:
    """Words of the first capability that the family has.

    Raises:
        StopIteration: it has none; the map needs words for its kinds.
    """
    return words[next(_found(words, family))]


def _length(family: FamilySpec) -> str:
    if own := next(_found(LENGTH, family), None):
        return LENGTH[own]
    predicted = family.collator.options["padding"] == "predict"
    return "fixed; pads are predicted" if predicted else "fixed"


def _order(family: FamilySpec) -> str:
    options = family.predictor.options
    if "order" not in options:
        return _first(ORDER, family)
    order = ORDERS[options["order"]]
    blocks = "block_noise" in family.provided or options.get("decoding_block")
    return f"blocks from left to right; {order} in a block" if blocks else order


def _likelihood(family: FamilySpec) -> str:
    """What the loss gives, and what it gives with other options."""
    gives = family.likelihood.gives
    schema = family.project.schemas.kind("loss", family.loss.kind)
    exact = [
        EXACT_WITH[entry.capability]
        for entry in entries(schema)
        if entry.gives == "exact"
    ]
    if gives == "exact":
        return exact[0]
    return "; ".join(["bound" if gives == "bound" else "none", *exact])


def _cache(family: FamilySpec) -> str:
    if exact := next(_found(CACHE, family), None):
        return CACHE[exact]
    schema = family.project.schemas.kind("predictor", family.predictor.kind)
    known = "cache" in properties(schema, dict(family.predictor.options))
    possible = known and "column_cache" in family.provided
    return "`predictor.cache`, approximate" if possible else "no"


def _passes(family: FamilySpec) -> str:
    """Forward passes of the family's own predictor."""
    if known := next(_found(PASSES, family), None):
        return PASSES[known]
    options = family.predictor.options
    if options.get("steps") is None or options.get("first_hitting"):
        return "n"
    blocks = " per block" if "block_noise" in family.provided else ""
    return f"at most `steps`{blocks}"
