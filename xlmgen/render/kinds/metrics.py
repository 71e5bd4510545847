"""Metrics of a loss: an exact likelihood, a bound on it, or neither."""

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec

BOUNDS = frozenset(
    {"block_masked", "generalised_kl", "hybrid", "score_entropy", "state_entropy"}
)
"""Kinds of loss that are bounds on the likelihood whatever their options."""


@dataclass(frozen=True)
class Metrics:
    summary: str
    lines: tuple[str, ...]  # the body of `compute`
    sums: tuple[str, str] = ("row_loss", "normalizer")  # outputs whose sums are divided


def decide(family: FamilySpec) -> Metrics:
    kind, weight = family.loss.kind, family.loss.options.get("weight")
    bounds = (
        "bound = self.per_token()",
        'bounds = {"nll_bound": bound, "perplexity_bound": bound.exp()}',
        'return bounds | {"sequence_nll_bound": self.per_sequence()}',
    )
    if ("loss", kind) in family.project.kinds:
        return Metrics(
            "Loss of the project's own kind, in nats per token as it counts them.",
            ('return {"nll_per_token": self.per_token()}',),
        )
    if kind == "next_token":
        return Metrics(
            "Exact NLL: nats per token, perplexity, and nats per sequence.",
            (
                "nll = self.per_token()",
                'exact = {"nll": nll, "perplexity": nll.exp()}',
                'return exact | {"sequence_nll": self.per_sequence()}',
            ),
        )
    inserts = kind == "mask_and_insert"
    if inserts and family.model.options["gap_head"] == "distribution":
        return Metrics(
            "Cross-entropy of tokens and gaps in nats; no bound on the likelihood.",
            ('return {"cross_entropy": self.per_token()}',),
        )
    if inserts or weight == "schedule" or kind in BOUNDS:
        return Metrics(
            "Upper bounds on NLL: nats per token, perplexity, and nats per sequence.",
            bounds,
        )
    if kind == "insertion":
        return Metrics(
            "Upper bounds on NLL: nats per decision (an insertion or the stop), "
            "perplexity, and nats per sequence.",
            bounds,
            sums=("bound", "num_decisions"),
        )
    if kind == "noised":
        return Metrics(
            "Cross-entropy of the scored tokens in nats; no bound on the likelihood.",
            ('return {"cross_entropy": self.per_token()}',),
        )
    if weight != "none":
        return Metrics(
            "Weighted cross-entropy of the masked tokens; no bound on the likelihood.",
            ('return {"weighted_cross_entropy": self.per_token()}',),
        )
    return Metrics(
        "Cross-entropy of the selected tokens in nats; no bound on the likelihood.",
        ('return {"cross_entropy": self.per_token()}',),
    )
