"""Decisions of model kind `transformer`."""

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec

NORMS = {"layer": "LayerNorm", "rms": "RMSNorm"}
NORM_WORDS = {"layer": "layer norms", "rms": "RMS norms"}
ACTIVATION_WORDS = {"gelu": "GELU", "relu": "ReLU", "swiglu": "SwiGLU"}


@dataclass(frozen=True)
class Network:
    causal: bool
    time: bool
    norm: str  # expression that makes one
    feedforward: str  # expression that makes one
    imports: tuple[str, ...]  # from xlmgen.nn
    description: str
    summary: str
    predicts: str


def decide(family: FamilySpec) -> Network:
    options = family.model.options
    causal = options["attention"] == "causal"
    time = options["time"] == "adaln"
    swiglu = options["activation"] == "swiglu"
    imports = {"Attention", "Rotary", "initialise", "token_positions"}
    imports |= {"KeyValueCache", "causal_mask"} if causal else {"key_mask"}
    imports |= {"Modulation", "TimeEmbedding", "modulate"} if time else set()
    imports |= {"SwiGLU"} if swiglu else {"FeedForward"}
    # Modulated norms have no weights of their own, and none has a bias.
    if time:
        affine = ", elementwise_affine=False"
    else:
        affine = ", bias=False" if options["norm"] == "layer" else ""
    activation = ACTIVATION_WORDS[options["activation"]]
    return Network(
        causal=causal,
        time=time,
        norm=f"nn.{NORMS[options['norm']]}(d_model{affine})",
        feedforward=(
            "SwiGLU(d_model, ffn)"
            if swiglu
            else f'FeedForward(d_model, ffn, activation="{options["activation"]}")'
        ),
        imports=tuple(imports),
        description=f"{'causal' if causal else 'bidirectional'} transformer"
        + (" that is told the time" if time else ""),
        summary=(
            f"{'Causal' if causal else 'Bidirectional'} transformer, rotary positions, "
            f"{NORM_WORDS[options['norm']]}, {activation}"
            + ("; time-conditioned." if time else ".")
        ),
        predicts=(
            "the next token at every position"
            if causal
            else "the token at each position"
        ),
    )
