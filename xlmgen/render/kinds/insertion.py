"""Decisions of loss and predictor kind `insertion`."""

from dataclasses import dataclass

from xlmgen.render.kinds.options import Option, options, predictor_schema
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Objective:
    suppress_tokens: str  # expression of the ids that are never inserted
    complete_weight: float  # weight of the stop decision in complete rows
    row_loss: str  # expression of the loss of a row
    answer_nll: str  # expression of the cross-entropy of n + 1 decisions


@dataclass(frozen=True)
class Insertion:
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
        suppress_tokens=suppress_tokens(family),
        complete_weight=round(weight * class_weight, 12),
        row_loss=f"num_decisions * ({decision})" if corrected else decision,
        answer_nll=answer_nll,
    )


def decide_predictor(family: FamilySpec) -> Insertion:
    o = family.predictor.options
    slot_first, sampled = o["draw"] == "slot_first", o["stop"] == "sample"
    names = (
        *(() if sampled else ("stop_threshold",)),
        *("max_new_tokens", "temperature", "top_k", "top_p"),
        *(("slot_temperature", "slot_top_k", "slot_top_p") if slot_first else ()),
    )
    sampling = {"TokenSampler"} if slot_first else set()
    sampling |= {"uniform"} if sampled else set()
    return Insertion(
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
