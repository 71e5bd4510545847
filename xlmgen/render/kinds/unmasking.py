"""Decisions of predictor kinds `unmasking` and `block_unmasking`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xlmgen.render.kinds.options import Option, options, predictor_schema
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.schemas import properties

SCORES = {
    "top_prob": "log_top_prob",
    "margin": "log_margin",
    "entropy": "negative_entropy",
}
"""Functions of `xlmgen.runtime.sampling` that score positions, by order."""

ETA = {
    "renoise": "share of the positions that are masked again as a clean row would be.",
    "plan": (
        "factor of the log-probabilities of visible tokens; 0 never masks one again, "
        "more than 1 masks more of them."
    ),
}
"""What `eta` is, by the rule of remasking, if not as the schema says first."""


@dataclass(frozen=True)
class Unmasking:
    loop: str  # name of the template of the loop
    options: tuple[Option, ...]
    stored: tuple[str, ...]  # options stored as attributes of the same name
    suppress_tokens: tuple[str, ...]  # special tokens that are never generated
    in_blocks: bool  # divides the answer into decoding blocks, filled in order
    confident: bool  # reveals the most confident positions first
    guided: bool
    stepped: bool  # has a number of steps
    schedule: bool  # uses the noise schedule
    score: str
    shaped: bool  # ranks by the probabilities that tokens are drawn from
    noisy: bool
    window: str | None
    std_imports: tuple[str, ...]
    state_module: str
    state_imports: tuple[str, ...]
    noise_imports: tuple[str, ...]
    sized: bool  # reveals a number of tokens per step that grows or falls
    stable: bool  # counts the passes in which a distribution has hardly changed
    sampling_imports: tuple[str, ...]
    torch_imports: str


def decide(family: FamilySpec) -> Unmasking:
    o = family.predictor.options
    loop = _loop(o)
    timed = family.model.options.get("time", "none") == "adaln"
    in_blocks = o.get("decoding_block") is not None
    blockwise = family.predictor.kind == "block_unmasking"
    window = o["remask"]["window"] if o["remask"] else None
    confident = loop == "confidence"
    stepped = not (loop == "first_hitting" or _is_adaptive(o))
    parameters = _parameters(family, loop, stepped=stepped)
    return Unmasking(
        loop=loop,
        options=parameters,
        stored=tuple(
            option.name
            for option in parameters
            if option.name not in ("temperature", "top_k", "top_p", "alpha_on")
        ),
        suppress_tokens=never_generated(family),
        in_blocks=in_blocks,
        confident=confident,
        guided=o.get("guidance") is not None,
        stepped=stepped,
        schedule=loop in ("random", "remasking", "planning") or timed,
        score=SCORES[o["order"]] if confident else "",
        shaped=o["rank_by"] == "sampling",
        noisy=_is_noisy(o),
        window=window["kind"] if window else None,
        std_imports=_std_imports(loop, stepped=stepped),
        state_module="xlmgen.runtime.decoding.blockwise"
        if blockwise
        else "xlmgen.runtime.decoding.masked",
        state_imports=_state_imports(blockwise, in_blocks, stepped),
        noise_imports=("loop_times",) if window and window["kind"] == "loop" else (),
        sized=o["growth"] is not None,
        stable=o["stable"] is not None,
        sampling_imports=_sampling_imports(o, loop),
        torch_imports="Tensor" if in_blocks else "",
    )


def _loop(o: Mapping[str, Any]) -> str:
    """Name of the template whose loop does what the options say."""
    if o["remask"]:
        return "planning" if o["remask"]["rule"] == "plan" else "remasking"
    if o["first_hitting"]:
        return "first_hitting"
    if o["order"] == "random":
        return "random" if o["growth"] is None else "sized"
    return "confidence"


def _is_adaptive(o: Mapping[str, Any]) -> bool:
    """Whether the model's probabilities decide how many tokens a step reveals."""
    return o["threshold"] is not None or o["entropy_bound"] is not None


def _is_noisy(o: Mapping[str, Any]) -> bool:
    return bool(o["order"] != "random" and o["order_temperature"] > 0)


def never_generated(family: FamilySpec) -> tuple[str, ...]:
    """Special tokens that are never generated: PAD only if padding is ignored."""
    ignored = family.collator.options.get("padding") == "ignore"
    return (*(("pad",) if ignored else ()), "bos", "mask", "cls")


def _std_imports(loop: str, *, stepped: bool) -> tuple[str, ...]:
    if loop == "confidence":
        return () if stepped else ("from itertools import count",)
    pairs = loop in ("random", "remasking")
    return ("from itertools import pairwise",) if pairs else ()


def _state_imports(blockwise: bool, in_blocks: bool, stepped: bool) -> tuple[str, ...]:
    state = ("BlockState", "BlockwiseState") if blockwise else ("MaskedState",)
    blocks = ("decoding_blocks", *(("split_steps",) if stepped else ()))
    return (*state, *(blocks if in_blocks else ()))


def _sampling_imports(o: Mapping[str, Any], loop: str) -> tuple[str, ...]:
    names = {"TokenSampler"}
    if loop == "first_hitting":
        names |= {"ranks"}
    if loop == "planning":
        names |= {"ranks", "spread"}
    if o["growth"] is not None:
        names |= {"geometric_shares", "number_due", "ranks"}
    if loop == "confidence":
        names |= {SCORES[o["order"]], "spread"}
        names |= {"add_gumbel"} if _is_noisy(o) else set()
        if o["threshold"] is not None:
            names |= {"log_top_prob", "ranks"}
        elif o["entropy_bound"] is not None:
            names |= {"entropy", "within_entropy_bound"}
        elif o["growth"] is None:
            names |= {"even_split", "ranks"}
    return tuple(names)


def _parameters(family: FamilySpec, loop: str, *, stepped: bool) -> tuple[Option, ...]:
    """Options that stay parameters of the rendered class."""
    o, schema = family.predictor.options, predictor_schema(family)
    names = ["steps"] if stepped else []
    chosen = (
        "decoding_block",
        "threshold",
        "entropy_bound",
    )  # null selects another algorithm
    names += [name for name in chosen if o.get(name) is not None]
    names += ["growth"] if o["growth"] is not None else []
    names += ["order_temperature"] if _is_noisy(o) else []
    last = ["guidance"] if o.get("guidance") is not None else []
    last += ["max_length"] if "max_length" in o else []
    last += ["temperature", "top_k", "top_p"]
    not_none = {*chosen, "growth", "guidance"}
    if loop != "confidence" or o["growth"] is not None:
        not_none |= {"steps"}
    return (
        *map(_with_default_steps, options(schema, o, names, not_none=not_none)),
        *_stable_parameters(family),
        *_remask_parameters(family),
        *options(schema, o, last, not_none=not_none),
    )


def _with_default_steps(option: Option) -> Option:
    if option.type != "int | None":
        return option
    about = option.about.removesuffix(".") + "; None takes one per token to fill."
    return replace(option, about=about)


def _stable_parameters(family: FamilySpec) -> list[Option]:
    o, schema = family.predictor.options, predictor_schema(family)
    if not o["stable"]:
        return []
    return options(properties(schema, o)["stable"], o["stable"], ["passes", "kl"])


def _remask_parameters(family: FamilySpec) -> list[Option]:
    o, schema = family.predictor.options, predictor_schema(family)
    remask = o["remask"]
    if not remask:
        return []
    remask_schema = properties(schema, o)["remask"]
    parameters = [
        replace(option, about=ETA.get(remask["rule"], option.about))
        for option in options(remask_schema, remask, ["eta"])
    ]
    if window := remask["window"]:
        window_schema = properties(remask_schema, remask)["window"]
        names = [name for name in ("t_on", "t_off", "alpha_on") if name in window]
        parameters += options(window_schema, window, names)
    return parameters
