"""What a loss gives: the exact likelihood, a bound on it, or neither.

A loss's schema lists it under `x-likelihood`. The first entry that applies counts: one
whose `when`, a JSON Schema, the loss's options satisfy, and whose `capability` the
family's components provide. The metrics of the loss follow from the entry, and with the
capabilities the suites that prove it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xlmgen.io.json_schema import Schema
from xlmgen.spec.contracts import capabilities, filled
from xlmgen.spec.diagnostics import Diagnostic, errors
from xlmgen.spec.document import Document
from xlmgen.spec.messages import either, show
from xlmgen.spec.schemas import Schemas, satisfies


@dataclass(frozen=True)
class Likelihood:
    """An entry of `x-likelihood`.

    Args:
        gives: `exact`, `bound` or `none`.
        per: the unit of the mean.
        sum, count: outputs of the loss whose sums over rows are divided.
        metric: name of the mean, if it is no likelihood.
        about: its description.
        when: condition on the loss's options.
        capability: that the family's components must provide; empty for none.
    """

    gives: str
    per: str = "token"
    sum: str = "row_loss"
    count: str = "normalizer"
    metric: str = ""
    about: str = ""
    when: Schema = field(default_factory=dict)
    capability: str = ""


@dataclass(frozen=True)
class Proof:
    """A suite of the kit that compares what a loss gives with exact answers.

    Args:
        suite: its name in `xlmgen.testing`.
        gives: what the loss must give.
        capabilities: that the family's components must provide.
    """

    suite: str
    gives: str
    capabilities: frozenset[str]


WORDS = {"exact": "the exact likelihood", "bound": "a bound on the likelihood"}


def _proof(suite: str, gives: str, *capabilities: str) -> Proof:
    return Proof(suite, gives, frozenset(capabilities))


PROOFS = (
    _proof("LikelihoodTests", "exact", "objective:next_token"),
    _proof("AnyOrderLikelihoodTests", "exact", "objective:any_order"),
    _proof("AnyOrderLikelihoodTests", "bound", "objective:any_order"),
    _proof("MaskedBoundTests", "bound", "objective:masked", "pure_masking"),
    _proof("MaskedMinimiserTests", "none", "objective:masked"),
    _proof("BlockBoundTests", "bound", "objective:block_masked"),
    _proof("InsertionBoundTests", "bound", "objective:insertion"),
    _proof("MaskAndInsertBoundTests", "bound", "objective:mask_and_insert"),
    *(
        proof
        for noise in ("uniform_noise", "hybrid_noise")
        for proof in (
            _proof(
                *("StateBoundTests", "bound", "objective:state", noise),
                "predicts:clean_without_itself",
            ),
            _proof(
                *("PosteriorBoundTests", "bound", "objective:state", noise),
                "predicts:clean",
            ),
        )
    ),
    _proof(
        *("StateBoundTests", "bound", "objective:state", "uniform_noise"),
        "predicts:ratios",
    ),
    _proof("StateMinimiserTests", "none", "objective:state", "uniform_noise"),
)
"""The suites, the same for built-in kinds and those of a project."""


def likelihood(
    options: Mapping[str, Any], schema: Schema, provided: frozenset[str]
) -> Likelihood:
    """Return what a loss gives.

    Args:
        options: of the loss, with defaults filled in.
        schema: of its kind.
        provided: capabilities of the family's components.
    """
    for entry in entries(schema):
        if entry.capability in {"", *provided} and satisfies(entry.when, dict(options)):
            return entry
    raise AssertionError("the last entry of x-likelihood has no condition")


def check(
    document: Document, schemas: Schemas, found: Iterable[Diagnostic]
) -> Iterator[Diagnostic]:
    """Report a loss that gives a likelihood which no suite proves.

    Args:
        document: a family's document.
        schemas: with the kinds.
        found: problems that are known already; with some, nothing is checked.
    """
    if errors(found):
        return
    components = filled(document, schemas)
    options, provided = components["loss"], capabilities(components, schemas)
    schema = schemas.kind("loss", options["kind"])
    gives = likelihood(options, schema, provided).gives
    others = [entry for entry in schema["x-tests"] if entry != "LossTests"]
    if gives == "none" or others or proofs(gives, provided):
        return
    message = f"no suite proves that {show(options['kind'])} gives {WORDS[gives]}"
    known = {proof for proof in PROOFS if proof.gives == gives}
    needs = either(sorted(" with ".join(sorted(p.capabilities)) for p in known))
    fix = f"suites are known for {needs}; or name your own under x-tests"
    yield document.diagnostic("XG407", ("loss", "kind"), message, fix)


def entries(schema: Schema) -> list[Likelihood]:
    """Parse `x-likelihood`."""
    return [
        Likelihood(entry) if isinstance(entry, str) else Likelihood(**entry)
        for entry in schema["x-likelihood"]
    ]


def proofs(gives: str, provided: frozenset[str]) -> list[str]:
    """Names of the suites that prove what a loss gives."""
    return [
        proof.suite
        for proof in PROOFS
        if proof.gives == gives and proof.capabilities <= provided
    ]
