"""Decisions of loss and predictor kind `insertion`."""

from dataclasses import dataclass

from xlmgen.render.kinds.options import Option, options, predictor_schema
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Objective:
    paragraphs: tuple[str, ...]  # on the objective
    suppress_tokens: str  # expression of the ids that are never inserted
    complete_weight: float  # weight of the stop decision in complete rows
    mean: str
    row_loss: str  # expression of the loss of a row
    answer_nll: str  # expression of the cross-entropy of n + 1 decisions


@dataclass(frozen=True)
class Insertion:
    summary: str
    options: tuple[Option, ...]
    suppress_tokens: str  # expression of the ids that are never generated
    never_words: str
    imports: tuple[str, ...]  # from xlmgen.runtime.decoding.insertion
    sampling_imports: tuple[str, ...]


def suppress_tokens(family: FamilySpec) -> str:
    """Return the expression of the ids that are never inserted.

    EOS is one of them where every row has a fixed EOS.
    """
    ids = 'tokens.suppressed("pad", "bos", "mask", "cls")'
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
        suppress_tokens=suppress_tokens(family),
        complete_weight=round(weight * class_weight, 12),
        mean=(
            "Weight a row by its number of decisions, n + 1."
            if corrected
            else "Weight all rows equally, whatever the length of their answer."
        ),
        row_loss=f"num_decisions * ({decision})" if corrected else decision,
        answer_nll=answer_nll,
    )


def _objective(weight: float, class_weight: float, corrected: bool) -> list[str]:
    """Return paragraphs on the loss of a row, its minimiser and the bound."""
    times = f"{weight:.12g} times " if weight != 1 else ""
    row = (
        "A row with N of n tokens dropped has the loss −(1/N) · Σ_dropped log p(slot, "
        f"token), 0 if N = 0, plus {times}the cross-entropy of the decision whether "
        "N = 0"
    )
    if class_weight != 1:
        row += f", weighted by {class_weight:.12g} if it is"
    if corrected:
        loss = f"{row}. The loss is the mean over rows of n + 1 times this."
        minimiser = (
            "The factor n + 1 corrects for a row's showing one of its n + 1 decisions: "
            "the minimiser generates the distribution of the data."
        )
    else:
        loss = f"{row}. The loss is the mean over rows."
        minimiser = (
            "The minimiser generates a sequence with probability proportional to "
            "p / (n + 1), where p is its probability in the data: it is biased towards "
            "short sequences."
        )
    bound = (
        "An answer of n tokens takes n + 1 decisions (n insertions and the stop), and "
        "a row shows one of them at random. The expected cross-entropy of that "
        "decision, times n + 1, minus ln n! for the orders of insertion, is an upper "
        "bound on −log p."
    )
    return [loss, minimiser, bound]


def decide_predictor(family: FamilySpec) -> Insertion:
    o = family.predictor.options
    slot_first, sampled = o["draw"] == "slot_first", o["stop"] == "sample"
    names = (
        *(() if sampled else ("stop_threshold",)),
        *("max_new_tokens", "temperature", "top_k", "top_p"),
        *(("slot_temperature", "slot_top_k", "slot_top_p") if slot_first else ()),
    )
    sampling = {"Generation"}
    sampling |= {"TokenSampler"} if slot_first else set()
    sampling |= {"uniform"} if sampled else set()
    return Insertion(
        summary=_summary(slot_first, sampled),
        options=tuple(options(predictor_schema(family), o, names)),
        suppress_tokens=suppress_tokens(family),
        never_words=(
            "PAD, BOS, EOS, MASK and CLS"
            if family.collator.options["eos"]
            else "PAD, BOS, MASK and CLS"
        ),
        imports=(
            "InsertionState",
            "SlotFirstSampler" if slot_first else "PairSampler",
        ),
        sampling_imports=tuple(sampling),
    )


def _summary(slot_first: bool, sampled: bool) -> str:
    pair = (
        "The slot is drawn from its marginal distribution, then the token in it."
        if slot_first
        else "The slot and the token are drawn as one pair."
    )
    stop = (
        "The decision to stop is drawn as well: exact at temperature 1."
        if sampled
        else "A row ends once its probability of being complete reaches a threshold: a "
        "heuristic."
    )
    return f"{pair} {stop} Finished rows leave the batch."
