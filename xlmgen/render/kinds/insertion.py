"""Decisions of loss and predictor kind `insertion`."""

from dataclasses import dataclass
from typing import Any

from xlmgen.render.kinds.unmasking import Option
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Objective:
    paragraphs: tuple[str, ...]  # what is minimised, in words
    never: str  # expression of the ids that are never inserted
    complete_weight: float  # of the decision to stop in a complete row
    mean: str
    row_loss: str  # expression of what is minimised
    answer_nll: str  # expression of the cross-entropy of n + 1 decisions


@dataclass(frozen=True)
class Insertion:
    summary: str
    options: tuple[Option, ...]
    never: str  # expression of the ids that are never generated
    never_words: str
    imports: tuple[str, ...]  # from xlmgen.runtime.decoding.insertion
    sampling_imports: tuple[str, ...]


def never(family: FamilySpec) -> str:
    """Expression of the ids that are never inserted; EOS only where it is given."""
    ids = 'tokens.never("pad", "bos", "mask", "cls")'
    return f"(tokens.eos, *{ids})" if family.collator.options["eos"] else ids


def decide_loss(family: FamilySpec) -> Objective:
    o = family.loss.options
    weight, class_weight = o["stop_weight"], o["stop_class_weight"]
    plain, corrected = weight == class_weight == 1, o["length_correction"]
    if class_weight != 1:
        decision = "insertion_nll + weight * stop_nll"
    else:
        decision = f"insertion_nll + {'' if plain else f'{weight} * '}stop_nll"
    if not plain:
        answer_nll = "num_decisions * (insertion_nll + stop_nll).detach()"
    else:
        answer_nll = f"{'' if corrected else 'num_decisions * '}row_loss.detach()"
    return Objective(
        paragraphs=tuple(_objective(weight, class_weight, corrected)),
        never=never(family),
        complete_weight=round(weight * class_weight, 12),
        mean=(
            "A row stands for the n + 1 decisions that make its answer."
            if corrected
            else "Rows count alike, whatever the length of their answer."
        ),
        row_loss=f"num_decisions * ({decision})" if corrected else decision,
        answer_nll=answer_nll,
    )


def _objective(weight: float, class_weight: float, corrected: bool) -> list[str]:
    """What a row costs, and how rows are added up."""
    times = f"{weight:.12g} times " if weight != 1 else ""
    row = (
        "A row that lost N of its n tokens costs −(1/N) · Σ_dropped log p(slot, "
        f"token), nothing where N = 0, and {times}the cross-entropy of the decision "
        "whether N is 0"
    )
    if class_weight != 1:
        row += f", which weighs {class_weight:.12g} times as much where it is"
    if corrected:
        how = f"{row}; all of it times n + 1. The loss is the mean over rows."
        what = (
            "The factor undoes that a row shows one of its n + 1 decisions: what "
            "minimises the loss generates the distribution of the data."
        )
    else:
        how = f"{row}. The loss is the mean over rows."
        what = (
            "What minimises it generates a sequence with a probability in proportion "
            "to p / (n + 1), p that of the data: it is biased towards short ones."
        )
    bound = (
        "An answer of n tokens is made by n + 1 decisions, of which a row shows one at "
        "random. The cross-entropy of that one times n + 1, less ln n! for the orders "
        "of insertion, is in expectation a bound on −log p."
    )
    return [how, what, bound]


def decide_predictor(family: FamilySpec) -> Insertion:
    o = family.predictor.options
    slot_first, sampled = o["draw"] == "slot_first", o["stop"] == "sample"
    sampling = {"Generation"}
    sampling |= {"TokenSampler"} if slot_first else set()
    sampling |= {"uniform"} if sampled else set()
    return Insertion(
        summary=_summary(slot_first, sampled),
        options=tuple(_options(o, slot_first, sampled)),
        never=never(family),
        never_words=(
            "PAD, BOS, EOS, MASK and CLS"
            if family.collator.options["eos"]
            else "PAD, BOS, MASK and CLS"
        ),
        imports=(
            "InsertionRows",
            "SlotFirstSampler" if slot_first else "PairSampler",
        ),
        sampling_imports=tuple(sampling),
    )


def _summary(slot_first: bool, sampled: bool) -> str:
    pair = (
        "The slot is drawn from its marginal, then the token in it."
        if slot_first
        else "The slot and the token are drawn as one pair."
    )
    stop = (
        "Whether a row is complete is drawn, too: exact at temperature 1."
        if sampled
        else "A row ends once the network is sure enough that it is complete: a "
        "heuristic."
    )
    return f"{pair} {stop} Finished rows leave the batch."


def _options(o: Any, slot_first: bool, sampled: bool) -> list[Option]:
    options = []

    def add(name: str, type_: str, about: str) -> None:
        options.append(Option(name, type_, o[name], about))

    if not sampled:
        about = "a row ends when it is complete with at least this probability."
        add("stop_threshold", "float", about)
    about = "at most so many tokens; None is the task's answer."
    add("max_new_tokens", "int | None", about)
    what = "token" if slot_first else "pair"
    add("temperature", "float", f"divides the logits; 0 takes the most likely {what}.")
    add("top_k", "int | None", f"draw from the k most likely {what}s only.")
    about = f"draw from the smallest set of {what}s whose mass reaches p."
    add("top_p", "float | None", about)
    if slot_first:
        about = "divides the slots' log-probabilities; 0 takes the most likely."
        add("slot_temperature", "float", about)
        add("slot_top_k", "int | None", "draw from the k most likely slots only.")
        about = "draw from the smallest set of slots whose mass reaches p."
        add("slot_top_p", "float | None", about)
    return options
