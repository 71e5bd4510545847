"""Decisions of the kinds that noise with random tokens, alone or beside MASK."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.render.kinds.options import Option, options, predictor_schema
from xlmgen.render.kinds.schedule import ScheduleCode, sampling_eps, schedule_code
from xlmgen.render.kinds.unmasking import SCORES, never_generated
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.schemas import properties

CAVITY = "predicts:clean_without_itself"
RATIOS = "predicts:ratios"
HYBRID = "hybrid_noise"


@dataclass(frozen=True)
class Replacing:
    sampling_eps: str  # expression of the smallest time to draw
    suppressed: str  # arguments of `SpecialTokens.suppressed`
    pad_to_max_length: bool
    hybrid: bool  # some noise is MASK
    noise_imports: tuple[str, ...]
    lm_layout: str
    seq2seq_layout: str


@dataclass(frozen=True)
class StateLoss:
    suppressed: str


@dataclass(frozen=True)
class Resampling:
    cavity: bool  # the network predicts each token without seeing it
    ratios: bool  # it does so by ratios of probabilities of noisy tokens
    hybrid: bool  # some noise is MASK
    suppressed: str
    suppress_words: str
    summary: str
    options: tuple[Option, ...]
    stored: tuple[str, ...]  # options stored as attributes of the same name
    corrects: bool
    score: str  # by which the corrector chooses; empty for at random
    sampling_imports: tuple[str, ...]
    noise_functions: tuple[str, ...]


def decide_collator(family: FamilySpec) -> Replacing:
    o = family.collator.options
    schedule = schedule_code(family)
    assert isinstance(schedule, ScheduleCode)
    bos = "[BOS] " if o["bos"] else ""
    eos = " [EOS]" if o["eos"] else ""
    pads = " [PAD]…" if o["padding"] == "predict" else ""
    return Replacing(
        sampling_eps=sampling_eps(family),
        suppressed=_suppressed(family),
        pad_to_max_length=o["padding"] == "predict",
        hybrid=o["noise"] == "hybrid",
        noise_imports=(
            "draw_times",
            *(() if schedule.exact_ends else ("with_reconstruction",)),
        ),
        lm_layout=f"{bos}tokens{eos}{pads}",
        seq2seq_layout=f"prompt {bos}target{eos}{pads}",
    )


def decide_loss(family: FamilySpec) -> StateLoss:
    return StateLoss(_suppressed(family))


def decide_predictor(family: FamilySpec) -> Resampling:
    o = family.predictor.options
    provided = family.provided
    ratios, hybrid = RATIOS in provided, HYBRID in provided
    cavity = ratios or CAVITY in provided
    corrector = o["corrector"]
    heuristic = bool(corrector) and corrector["choose"] != "random"
    parameters = _parameters(family)
    names = {"TokenSampler"}
    names |= {"ranks", "spread"} if corrector else set()
    names |= {SCORES[corrector["choose"]]} if heuristic else set()
    return Resampling(
        cavity=cavity,
        ratios=ratios,
        hybrid=hybrid,
        suppressed=_suppressed(family),
        suppress_words=", ".join(never_generated(family)).upper(),
        summary=" ".join(_summary(o, cavity=cavity, ratios=ratios, hybrid=hybrid)),
        options=parameters,
        stored=tuple(
            option.name
            for option in parameters
            if option.name not in ("temperature", "top_k", "top_p")
        ),
        corrects=bool(corrector),
        score=SCORES[corrector["choose"]] if heuristic else "",
        sampling_imports=tuple(names),
        noise_functions=(
            *(("denoised",) if ratios else ()),
            *(("without_own_token",) if corrector and not cavity else ()),
        ),
    )


def _suppressed(family: FamilySpec) -> str:
    return ", ".join(f'"{name}"' for name in never_generated(family))


def _summary(
    o: Mapping[str, Any], *, cavity: bool, ratios: bool, hybrid: bool
) -> list[str]:
    """Sentences about the algorithm: its source, and whether it is exact."""
    source = (
        "hybrid diffusion (arXiv:2503.04482)"
        if hybrid
        else "uniform diffusion (arXiv:2412.10193)"
    )
    sentences = [
        f"Ancestral sampling of {source}. Exact as the number of steps grows: tokens "
        "of one step are drawn independently."
    ]
    if ratios:
        sentences.append(
            "The network predicts ratios of probabilities of noisy tokens, from which "
            "those of clean ones follow (arXiv:2310.16834)."
        )
    if cavity:
        sentences.append(
            "The network predicts every token from the others, so a step weighs its "
            "prediction with the noisy token itself (plug-in bridge)."
        )
    else:
        sentences.append(
            "The network's prediction of a token has seen the noisy token itself, so a "
            "step goes from there to a draw of it (mixture of bridges)."
        )
    if o["corrector"] and o["corrector"]["choose"] == "random":
        sentences.append(
            "After every step but the last, some tokens of every row are redrawn given "
            "all others, which keeps the distribution (Gibbs sampling)."
        )
    elif o["corrector"]:
        sentences.append(
            "After every step but the last, the least confident tokens are redrawn "
            "given all others: a heuristic."
        )
    if o["last"] == "argmax":
        sentences.append("The last step takes the most likely tokens: a heuristic.")
    return sentences


def _parameters(family: FamilySpec) -> tuple[Option, ...]:
    """Options that stay parameters of the rendered class."""
    o, schema = family.predictor.options, predictor_schema(family)
    parameters = options(schema, o, ["steps"])
    if corrector := o["corrector"]:
        within = properties(schema, o)["corrector"]
        (steps,) = options(within, corrector, ["steps"])
        parameters.append(
            Option("corrector_steps", steps.type, steps.default, steps.about)
        )
    return (*parameters, *options(schema, o, ["temperature", "top_k", "top_p"]))
