"""Decisions of model kind `qwen2`."""

from dataclasses import dataclass

from xlmgen.spec.contracts import requirements
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Qwen2:
    causal: bool
    cached: bool  # has a key–value cache
    cache: str  # its class
    time: bool
    norm: tuple[str, ...]  # constructor arguments
    imports: tuple[str, ...]  # from xlmgen.runtime.nn
    layer_inputs: tuple[str, ...]  # parameters of a layer's forward
    stream_inputs: tuple[str, ...]  # parameters of the decoder's forward
    description: str
    summary: str
    predicts: str


def decide(family: FamilySpec) -> Qwen2:
    options = family.model.options
    causal = options["attention"] == "causal"
    columns = "column_cache" in requirements(family.components, family.project.schemas)
    cache = "ColumnCache" if columns else "KeyValueCache"
    cached = causal or columns
    time = options["time"] == "adaln"
    imports = {"Head", "Qwen2Attention", "Qwen2MLP", "Rotary"}
    imports |= {"initialise", "token_positions"}
    imports |= {cache} if cached else set()
    imports |= {"causal_mask"} if causal else {"key_mask"}
    imports |= {"Modulation", "TimeEmbedding", "modulate"} if time else set()
    imports |= {"previous" if options["shift"] else "select_positions"}
    return Qwen2(
        causal=causal,
        cached=cached,
        cache=cache,
        time=time,
        # Modulated norms have no weights of their own.
        norm=(
            *("d_model", "eps=NORM_EPS"),
            *(("elementwise_affine=False",) if time else ()),
        ),
        imports=tuple(imports),
        layer_inputs=(
            *("self", "x: Tensor", "rotary: tuple[Tensor, Tensor]"),
            "mask: Tensor | None",
            *(("condition: Tensor",) if time else ()),
            *((f"cache: {cache} | None", "layer: int") if cached else ()),
        ),
        stream_inputs=(
            *("self", "input_ids: Tensor", "attention_mask: Tensor | None"),
            *(("t: Tensor",) if time else ()),
            *((f"cache: {cache} | None",) if cached else ()),
        ),
        description=(
            f"{'time-conditioned ' if time else ''}{options['attention']} "
            "Qwen2-shaped decoder"
        ),
        summary=(
            f"{options['attention'].capitalize()} Qwen2 with its parameter names"
            + ("; time-conditioned." if time else ".")
        ),
        predicts=(
            "the next token at every position"
            if causal
            else "the token at each position"
        ),
    )
