"""Decisions of predictor kinds `unmasking` and `block_unmasking`."""

from dataclasses import dataclass
from typing import Any

from xlmgen.spec.family import FamilySpec

SCORES = {
    "top_prob": ("log_top_prob", "the highest probability"),
    "margin": ("log_margin", "the widest margin between the two best tokens"),
    "entropy": ("negative_entropy", "the lowest entropy"),
}


@dataclass(frozen=True)
class Option:
    """A number that the predictor takes when it is made."""

    name: str
    type: str
    default: Any
    about: str


@dataclass(frozen=True)
class Unmasking:
    body: str  # the template of the loop
    headline: str
    summary: str
    options: tuple[Option, ...]
    stored: tuple[str, ...]  # options kept as attributes as they are
    never: tuple[str, ...]  # special tokens that are never generated
    block: bool  # cuts the answer into blocks that it fills one after the other
    confident: bool  # reveals what the model is surest of
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
    sampling_imports: tuple[str, ...]
    torch_imports: str


def decide(family: FamilySpec) -> Unmasking:
    o = family.predictor.options
    time = family.model.options.get("time", "none") == "adaln"
    order, remask, block = o["order"], o["remask"], o.get("block")
    blockwise = family.predictor.kind == "block_unmasking"
    window = remask["window"] if remask else None
    loop = window is not None and window["kind"] == "loop"
    confident = order != "random"
    noisy = confident and o["order_temperature"] > 0
    if remask:
        body = "remasking"
    elif o["first_hitting"]:
        body = "first_hitting"
    else:
        body = "confidence" if confident else "random"
    adaptive = o["threshold"] is not None or o["entropy_bound"] is not None
    stepped = body in ("random", "remasking") or (confident and not adaptive)
    schedule = body in ("random", "remasking") or time

    sampling = {"Generation", "TokenSampler"}
    if body == "first_hitting":
        sampling.add("ranks")
    if confident:
        sampling |= {SCORES[order][0], "spread"}
        sampling |= {"add_gumbel"} if noisy else set()
        if o["threshold"] is not None:
            sampling |= {"log_top_prob", "ranks"}
        elif o["entropy_bound"] is not None:
            sampling |= {"entropy", "within_entropy_bound"}
        else:
            sampling |= {"even_split", "ranks"}
    canvas = {"BlockCanvas", "BlockRows"} if blockwise else {"Canvas"}
    if block:
        canvas |= {"blocks", "split_steps"} if stepped else {"blocks"}

    std = []
    if confident and adaptive:
        std.append("from itertools import count")
    if body in ("random", "remasking"):
        std.append("from itertools import pairwise")

    options = _options(family, body, stepped, noisy)
    never = ["bos", "mask", "cls"]
    if family.collator.options.get("padding") == "ignore":
        never.insert(0, "pad")
    return Unmasking(
        body=f"family/predictor/unmasking/{body}.jinja",
        headline=_headline(body, blocks=block is not None or blockwise),
        summary=_summary(body, family),
        options=options,
        stored=tuple(
            option.name
            for option in options
            if option.name not in ("temperature", "top_k", "top_p", "alpha_on")
        ),
        never=tuple(never),
        block=block is not None,
        confident=confident,
        guided=o.get("guidance") is not None,
        stepped=stepped,
        schedule=schedule,
        score=SCORES[order][0] if confident else "",
        shaped=o["rank_by"] == "sampling",
        noisy=noisy,
        window=window["kind"] if window else None,
        std_imports=tuple(std),
        canvas_module="xlmgen.runtime.decoding.blockwise"
        if blockwise
        else "xlmgen.runtime.decoding.masked",
        canvas_imports=tuple(canvas),
        noise_imports=("loop_times",) if loop else (),
        sampling_imports=tuple(sampling),
        torch_imports="Tensor, nn" if block else "nn",
    )


def _headline(body: str, blocks: bool) -> str:
    what = {
        "random": "masked tokens are revealed in random order",
        "first_hitting": "masked tokens are revealed one by one in random order",
        "remasking": "tokens are revealed, and masked again, at random",
        "confidence": "the tokens that the model is surest of come first",
    }[body]
    return what + (", block by block" if blocks else "")


def _summary(body: str, family: FamilySpec) -> str:
    o = family.predictor.options
    if body == "random":
        text = (
            "Ancestral sampling (arXiv:2406.07524). Exact as the steps grow: "
            "tokens revealed in one step are drawn independently."
        )
    elif body == "first_hitting":
        text = (
            "First-hitting sampling (arXiv:2409.02908): the reveal times themselves "
            "are drawn, so one forward pass reveals one token of every row. Exact."
        )
    elif body == "remasking":
        text = (
            "Ancestral sampling with remasking (ReMDM, arXiv:2503.00307): a generated "
            "token may be masked again and drawn anew. What is given never is."
        )
    else:
        _, words = SCORES[o["order"]]
        text = f"Reveals the positions with {words} first. "
        if o["threshold"] is not None:
            text += (
                "A step reveals every position whose most likely token reaches the "
                "threshold, or else the first one: a heuristic."
            )
        elif o["entropy_bound"] is not None:
            text += (
                "A step reveals as many as a bound on their joint entropy allows "
                "(arXiv:2505.24857): a heuristic."
            )
        else:
            text += (
                "One position per step is exact, since the choice looks at the "
                "distribution and not at the draw; several per step are a heuristic."
            )
    if o["rank_by"] == "sampling":
        text += (
            " Positions are ranked by the probabilities that tokens are drawn from, "
            "after temperature, `top_k` and `top_p`."
        )
    if family.predictor.kind == "block_unmasking":
        text += (
            " This happens within a block; the keys and values of finished blocks are "
            "kept (arXiv:2503.09573). A row ends with the block that holds its EOS and "
            "leaves the batch."
        )
    if o.get("block"):
        text += (
            f" The answer is cut into blocks of {o['block']}, decoded left to right."
        )
    if o.get("guidance") is not None:
        text += " Classifier-free guidance contrasts with the prompt masked."
    return text


def _options(
    family: FamilySpec, body: str, stepped: bool, noisy: bool
) -> tuple[Option, ...]:
    o = family.predictor.options
    remask = o["remask"]
    window = remask["window"] if remask else None
    options = []

    def add(name: str, type_: str, default: Any, about: str) -> None:
        options.append(Option(name, type_, default, about))

    if stepped:
        about = "number of steps from all masked to none."
        if family.predictor.kind == "block_unmasking":
            about = "number of steps of each block from all masked to none."
        elif o["block"]:
            about = "number of steps, divided evenly over the blocks."
        if body == "confidence":
            about = about.removesuffix(".") + "; None is one for every token to fill."
            add("steps", "int | None", o["steps"], about)
        else:
            add("steps", "int", o["steps"], about)
    if o.get("block"):
        add("block", "int", o["block"], "tokens per block.")
    if o["threshold"] is not None:
        about = "reveal what has at least this probability."
        add("threshold", "float", o["threshold"], about)
    if o["entropy_bound"] is not None:
        about = "joint entropy in nats that a step may risk."
        add("entropy_bound", "float", o["entropy_bound"], about)
    if noisy:
        about = "of the Gumbel noise on the log-scores of the order."
        add("order_temperature", "float", o["order_temperature"], about)
    if remask:
        rule = {
            "cap": "upper limit of the probability σ_t of masking a token again.",
            "rescale": "share of the largest possible σ_t, (1 − α_s) / α_t.",
        }[remask["rule"]]
        add("eta", "float", remask["eta"], rule)
    if window and window["kind"] == "switch":
        add("t_on", "float", window["t_on"], "mask again only from this time on.")
    if window and window["kind"] == "loop":
        about = "at this time reveal no more on balance, only mask again and redraw."
        add("t_on", "float", window["t_on"], about)
        add("t_off", "float", window["t_off"], "at this time go on revealing.")
        about = "α in between; None is α at `t_on`."
        add("alpha_on", "float | None", window["alpha_on"], about)
    if o.get("guidance") is not None:
        about = "strength of the guidance; 0 is none."
        add("guidance", "float", o["guidance"], about)
    if "max_length" in o:
        about = "at most so long an answer, EOS included; None is the task's answer."
        add("max_length", "int | None", o["max_length"], about)
    about = "divides the logits; 0 takes the most likely token."
    add("temperature", "float", o["temperature"], about)
    add("top_k", "int | None", o["top_k"], "draw from the k most likely tokens only.")
    about = "draw from the smallest set of tokens whose mass reaches p."
    add("top_p", "float | None", o["top_p"], about)
    return tuple(options)
