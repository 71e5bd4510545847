"""Metrics of a loss: an exact likelihood, a bound on it, or neither."""

from __future__ import annotations

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec
from xlmgen.spec.likelihood import Likelihood


@dataclass(frozen=True)
class Metrics:
    summary: str
    lines: tuple[str, ...]  # the body of `compute`
    sums: tuple[str, str]  # outputs whose sums are divided


def decide(family: FamilySpec) -> Metrics:
    """Decide by what the schema of the loss says that it gives."""
    gives = family.likelihood
    return Metrics(_summary(gives), _lines(gives), (gives.sum, gives.count))


def _summary(gives: Likelihood) -> str:
    means = f"nats per {gives.per}, perplexity, and nats per sequence."
    if gives.gives == "none":
        return f"{gives.about}; no bound on the likelihood."
    return f"{'Exact' if gives.gives == 'exact' else 'Upper bounds on'} NLL: {means}"


def _lines(gives: Likelihood) -> tuple[str, ...]:
    if gives.gives == "none":
        return (f'return {{"{gives.metric}": self.per_token()}}',)
    if gives.gives == "exact":
        return (
            "nll = self.per_token()",
            'exact = {"nll": nll, "perplexity": nll.exp()}',
            'return exact | {"sequence_nll": self.per_sequence()}',
        )
    return (
        "bound = self.per_token()",
        'bounds = {"nll_bound": bound, "perplexity_bound": bound.exp()}',
        'return bounds | {"sequence_nll_bound": self.per_sequence()}',
    )
