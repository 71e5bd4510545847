"""Decisions of model kind `transformer`."""

from dataclasses import dataclass

from xlmgen.spec.contracts import requirements
from xlmgen.spec.family import FamilySpec

NORMS = {"layer": "LayerNorm", "rms": "RMSNorm"}
RMS_EPS = "1e-5"
"""As in Llama and `nn.LayerNorm`; the default of `nn.RMSNorm` depends on the dtype."""
NORM_WORDS = {"layer": "layer norms", "rms": "RMS norms"}
GAPS = ("expectation", "distribution")
ACTIVATION_WORDS = {"gelu": "GELU", "relu": "ReLU", "swiglu": "SwiGLU"}


@dataclass(frozen=True)
class Network:
    causal: bool
    blocks: bool  # attends to its own block and earlier ones
    cached: bool  # has a key–value cache
    cache: str  # its class
    narrow: bool  # its last block computes selected positions only
    time: bool
    stop: bool  # has a head for the decision to stop
    gap: str | None  # output of its head for gaps; None without one
    position_ids: bool  # takes explicit positions
    absolute: bool  # also embeds absolute positions
    next_position: bool  # takes the position of the token to predict
    attention: tuple[str, ...]  # constructor arguments
    norm: str  # constructor expression
    feedforward: str  # constructor expression
    imports: tuple[str, ...]  # from xlmgen.runtime.nn
    description: str
    summary: str
    returns: str  # type annotation
    predicts: str
    beside: str  # output of a further head, with its shape


# Output of a further head beside the hidden states, and its shape.
BESIDE = {
    "": "",
    "stop": ";\n            and (B, 2), logits of going on and stopping",
    "expectation": (
        ";\n            and (B, L), the expected number missing after each token"
    ),
    "distribution": (
        ";\n            and (B, L, MAX_GAP + 1), logits of the number missing after "
        "each token"
    ),
}


def decide(family: FamilySpec) -> Network:
    options = family.model.options
    causal = options["attention"] == "causal"
    blocks = options["attention"] == "block_causal"
    columns = "column_cache" in requirements(family.components, family.project.schemas)
    cache = "ColumnCache" if columns else "KeyValueCache"
    cached = causal or blocks or columns
    time = options["time"] == "adaln"
    swiglu = options["activation"] == "swiglu"
    absolute = options["positions"] == "rotary_and_absolute"
    next_position = options["next_position"]
    stop = "stop" in options["output_heads"]
    gap = options["gap_head"] if "gap" in options["output_heads"] else None
    imports = {"Attention", "Head", "Rotary"}
    imports |= {"initialise", "token_positions"}
    imports |= {"causal_mask"} if causal else {"key_mask"}
    imports |= {cache} if cached else set()
    imports |= {"block_diffusion_mask"} if blocks else set()
    imports |= {"Modulation", "TimeEmbedding", "modulate"} if time else set()
    imports |= {"AbsolutePositions"} if absolute or next_position else set()
    imports |= {"SwiGLU"} if swiglu else {"FeedForward"}
    imports |= {"previous" if options["shift"] else "select_positions"}
    # Modulated norms have no weights of their own, and none has a bias.
    if time:
        affine = ", elementwise_affine=False"
    else:
        affine = ", bias=False" if options["norm"] == "layer" else ""
    eps = f", eps={RMS_EPS}" if options["norm"] == "rms" else ""
    narrow = not (causal or blocks or stop or gap or time or options["shift"])
    schemas = family.project.schemas
    activation = ACTIVATION_WORDS[options["activation"]]
    attention = options["attention"].replace("_", "-")
    return Network(
        causal=causal,
        blocks=blocks,
        cached=cached,
        cache=cache,
        narrow=narrow,
        time=time,
        stop=stop,
        gap=gap,
        position_ids="position_ids_input" in requirements(family.components, schemas),
        absolute=absolute,
        next_position=next_position,
        attention=("d_model", "num_heads", "num_kv_heads", f"causal={causal}")
        + (("qk_norm=True",) if options["qk_norm"] else ()),
        norm=f"nn.{NORMS[options['norm']]}(d_model{eps}{affine})",
        feedforward=(
            "SwiGLU(d_model, ffn)"
            if swiglu
            else f'FeedForward(d_model, ffn, activation="{options["activation"]}")'
        ),
        imports=tuple(imports),
        description=f"{'time-conditioned ' if time else ''}{attention} transformer",
        summary=(
            f"{attention.capitalize()} transformer, "
            + ("rotary and absolute positions, " if absolute else "rotary positions, ")
            + f"{NORM_WORDS[options['norm']]}, {activation}"
            + (", normalised queries and keys" if options["qk_norm"] else "")
            + ("; time-conditioned." if time else ".")
        ),
        returns="Tensor"
        if options["output_heads"] == ["tokens"]
        else "tuple[Tensor, Tensor]",
        predicts=(
            "the token at the next position"
            if next_position
            else "the next token at every position"
            if causal
            else "the token at each position"
        ),
        beside=BESIDE["stop" if stop else gap or ""],
    )


@dataclass(frozen=True)
class OwnNetwork:
    """Properties of a project's own network that the other templates use."""

    time: bool
    gap: str | None


def decide_own(family: FamilySpec) -> OwnNetwork:
    """Decide from the capabilities that the kind declares."""
    provided = family.provided
    gaps = (gap for gap in GAPS if f"gap_head:{gap}" in provided)
    return OwnNetwork(time="time_input" in provided, gap=next(gaps, None))
