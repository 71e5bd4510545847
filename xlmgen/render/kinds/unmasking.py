"""Decisions of predictor kinds `unmasking` and `block_unmasking`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xlmgen.render.kinds.options import Option, options, predictor_schema
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.schemas import properties

SCORES = {
    "top_prob": ("log_top_prob", "the highest probability"),
    "margin": ("log_margin", "the widest margin between the two best tokens"),
    "entropy": ("negative_entropy", "the lowest entropy"),
}

HEADLINES = {
    "random": "masked tokens are revealed in random order",
    "first_hitting": "masked tokens are revealed one by one in random order",
    "sized": "masked tokens are revealed in steps of set sizes",
    "remasking": "tokens are revealed and masked again at random",
    "planning": "the least probable tokens are masked again",
    "confidence": "the most confident tokens are revealed first",
}

SUMMARIES = {
    "random": (
        "Ancestral sampling (arXiv:2406.07524). Exact as the number of steps grows: "
        "tokens revealed in one step are drawn independently."
    ),
    "first_hitting": (
        "First-hitting sampling (arXiv:2409.02908): the times at which tokens are "
        "revealed are drawn, and one forward pass reveals one token of every row. "
        "Exact."
    ),
    "sized": (
        "Positions are drawn uniformly; step sizes form a geometric series. Exact "
        "with one token per step: tokens revealed in one step are drawn independently."
    ),
    "remasking": (
        "Ancestral sampling with remasking (ReMDM, arXiv:2503.00307): generated "
        "tokens may be masked again and redrawn. Given tokens are not."
    ),
    "planning": (
        "Path planning (P2, arXiv:2502.03540), with the model's own probabilities as "
        "planner: a step draws a token at every mask, then masks the least probable of "
        "all generated tokens. A heuristic, also with one token per step."
    ),
}

STABLE = (
    " and whose distribution has hardly changed in the last passes (KLASS, "
    "arXiv:2511.05664)"
)

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
    body: str  # the template of the loop
    headline: str
    summary: str
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
    canvas_module: str
    canvas_imports: tuple[str, ...]
    noise_imports: tuple[str, ...]
    sized: bool  # reveals a number of tokens per step that grows or falls
    stable: bool  # counts the passes in which a distribution has hardly changed
    sampling_imports: tuple[str, ...]
    torch_imports: str


def decide(family: FamilySpec) -> Unmasking:
    o = family.predictor.options
    body = _body(o)
    timed = family.model.options.get("time", "none") == "adaln"
    in_blocks = o.get("decoding_block") is not None
    blockwise = family.predictor.kind == "block_unmasking"
    window = o["remask"]["window"] if o["remask"] else None
    confident = body == "confidence"
    stepped = not (body == "first_hitting" or _is_adaptive(o))
    parameters = _parameters(family, body, stepped=stepped)
    return Unmasking(
        body=f"family/predictor/unmasking/{body}.jinja",
        headline=HEADLINES[body]
        + (", block by block" if in_blocks or blockwise else ""),
        summary=" ".join(_summary(family, body)),
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
        schedule=body in ("random", "remasking", "planning") or timed,
        score=SCORES[o["order"]][0] if confident else "",
        shaped=o["rank_by"] == "sampling",
        noisy=_is_noisy(o),
        window=window["kind"] if window else None,
        std_imports=_std_imports(body, stepped=stepped),
        canvas_module="xlmgen.runtime.decoding.blockwise"
        if blockwise
        else "xlmgen.runtime.decoding.masked",
        canvas_imports=_canvas_imports(blockwise, in_blocks, stepped),
        noise_imports=("loop_times",) if window and window["kind"] == "loop" else (),
        sized=o["growth"] is not None,
        stable=o["stable"] is not None,
        sampling_imports=_sampling_imports(o, body),
        torch_imports="Tensor" if in_blocks else "",
    )


def _body(o: Mapping[str, Any]) -> str:
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


def _std_imports(body: str, *, stepped: bool) -> tuple[str, ...]:
    if body == "confidence":
        return () if stepped else ("from itertools import count",)
    pairs = body in ("random", "remasking")
    return ("from itertools import pairwise",) if pairs else ()


def _canvas_imports(blockwise: bool, in_blocks: bool, stepped: bool) -> tuple[str, ...]:
    state = ("BlockState", "BlockwiseState") if blockwise else ("MaskedState",)
    blocks = ("decoding_blocks", *(("split_steps",) if stepped else ()))
    return (*state, *(blocks if in_blocks else ()))


def _sampling_imports(o: Mapping[str, Any], body: str) -> tuple[str, ...]:
    names = {"Generation", "TokenSampler"}
    if body == "first_hitting":
        names |= {"ranks"}
    if body == "planning":
        names |= {"ranks", "spread"}
    if o["growth"] is not None:
        names |= {"geometric_shares", "number_due", "ranks"}
    if body == "confidence":
        names |= {SCORES[o["order"]][0], "spread"}
        names |= {"add_gumbel"} if _is_noisy(o) else set()
        if o["threshold"] is not None:
            names |= {"log_top_prob", "ranks"}
        elif o["entropy_bound"] is not None:
            names |= {"entropy", "within_entropy_bound"}
        elif o["growth"] is None:
            names |= {"even_split", "ranks"}
    return tuple(names)


def _summary(family: FamilySpec, body: str) -> list[str]:
    """Sentences about the algorithm: its source, and whether it is exact."""
    o = family.predictor.options
    sentences = _confidence_summary(o) if body == "confidence" else [SUMMARIES[body]]
    if o["remask"] and o["remask"]["rule"] == "renoise":
        sentences.append(
            "A share `eta` of the positions is masked again from the prediction, a "
            "forward-backward correction (Ψ, arXiv:2602.21185, with κ = 1 − eta)."
        )
    if o["rank_by"] == "sampling":
        sentences.append(
            "Positions are ranked by the probabilities that tokens are drawn from, "
            "after temperature, `top_k` and `top_p`."
        )
    if family.predictor.kind == "block_unmasking":
        sentences.append(
            "Blocks are filled one by one; keys and values of finished blocks are "
            "cached (arXiv:2503.09573). A row leaves the batch after the block that "
            "holds its EOS."
        )
    if o.get("decoding_block"):
        sentences.append(
            f"The answer is divided into blocks of {o['decoding_block']}, decoded left "
            "to right."
        )
    if o.get("guidance") is not None:
        sentences.append(
            "Classifier-free guidance contrasts the logits with those for a masked "
            "prompt."
        )
    return sentences


def _confidence_summary(o: Mapping[str, Any]) -> list[str]:
    _, words = SCORES[o["order"]]
    first = f"Reveals the positions with {words} first."
    if o["threshold"] is not None:
        return [
            first,
            "A step reveals every position whose most likely token reaches the "
            "threshold"
            + (STABLE if o["stable"] else "")
            + ", or else the best position: a heuristic.",
        ]
    if o["entropy_bound"] is not None:
        return [
            first,
            "A step reveals as many as a bound on their joint entropy allows "
            "(arXiv:2505.24857): a heuristic.",
        ]
    if o["growth"] is not None:
        first += " Step sizes form a geometric series."
    return [
        first,
        "One position per step is exact, because the choice of the position depends on "
        "the distribution and not on the draw; several per step are a heuristic.",
    ]


def _parameters(family: FamilySpec, body: str, *, stepped: bool) -> tuple[Option, ...]:
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
    if body != "confidence" or o["growth"] is not None:
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
