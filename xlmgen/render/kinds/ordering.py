"""Decisions of collator kind `ordering`."""

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Ordering:
    train: str  # order of the rows in training
    evaluation: str  # and in evaluation
    words: str  # of the one for evaluation
    imports: tuple[str, ...]  # from xlmgen.runtime.ordering


def decide(family: FamilySpec) -> Ordering:
    """The likelihood is that of the order in which the predictor generates."""
    train = family.collator.options["order"]
    evaluation = family.predictor.options.get("order", train)
    leftward = "right_to_left" in (train, evaluation)
    return Ordering(
        train=train,
        evaluation=evaluation,
        words=evaluation.replace("_", " "),
        imports=("sort_rows", *(("from_the_right",) if leftward else ())),
    )
