"""The options of predictors that are measured, and their numbers of passes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STEPS = (4, 8, 16, 32, 64)
BLOCK_STEPS = (1, 2, 4, 8)
BLOCKS_STEPS = (8, 16, 32, 64, 128)
"""Of eight blocks of 32 tokens."""
BLOCK_SIZE = 16
"""Of `bd3lm`: a row of 256 tokens is 16 blocks."""


@dataclass(frozen=True)
class Sampler:
    """One option of a predictor, measured at several values of one number.

    Args:
        name: of its curve.
        panel: of the figure in which it is drawn.
        family: whose predictor is rendered with it.
        predictor: its options.
        values: of the option `vary`; each gives a point of the curve.
        vary: the option that sets the number of passes.
        bounded: whether the mean log-ratio of paths bounds the divergence of samples:
            not if positions are chosen by the tokens that were drawn.
    """

    name: str
    panel: str
    family: str
    predictor: Mapping[str, Any]
    values: Sequence[Any] = STEPS
    vary: str = "steps"
    bounded: bool = True


def masked(name: str, panel: str, options: Mapping[str, Any], **more: Any) -> Sampler:
    """A sampler of kind `unmasking`, on the family `mdlm`."""
    return Sampler(name, panel, "mdlm", {"kind": "unmasking", **options}, **more)


ORDER, NUMBER, BLOCKS, DRAWS, REMASK = (
    "order of positions",
    "number per pass",
    "blocks from left to right",
    "distribution of tokens",
    "masking again",
)
PANELS = (ORDER, NUMBER, BLOCKS, DRAWS, REMASK)

SAMPLERS = (
    masked("random", ORDER, {"order": "random"}, values=(*STEPS, 128)),
    masked("top_prob", ORDER, {"order": "top_prob"}, values=(*STEPS, 128)),
    masked("margin", ORDER, {"order": "margin"}),
    masked("entropy", ORDER, {"order": "entropy"}),
    masked(
        "top_prob, order_temperature 1",
        ORDER,
        {"order": "top_prob", "order_temperature": 1.0},
    ),
    masked(
        "first_hitting",
        ORDER,
        {"order": "random", "first_hitting": True},
        vary="temperature",
        values=(1.0,),
    ),
    masked(
        "top_prob, threshold",
        NUMBER,
        {"order": "top_prob"},
        vary="threshold",
        values=(0.12, 0.16, 0.2, 0.25),
    ),
    masked(
        "entropy, entropy_bound",
        NUMBER,
        {"order": "entropy"},
        vary="entropy_bound",
        values=(1.0, 3.0, 10.0, 30.0, 100.0),
    ),
    masked(
        "top_prob, threshold, stable",
        NUMBER,
        {"order": "top_prob", "stable": {"passes": 2, "kl": 0.01}},
        vary="threshold",
        values=(0.06, 0.09, 0.12),
    ),
    masked("random, growth 1", NUMBER, {"order": "random", "growth": 1.0}),
    masked("random, growth 1.1", NUMBER, {"order": "random", "growth": 1.1}),
    masked("random, growth 0.9", NUMBER, {"order": "random", "growth": 0.9}),
    masked(
        "random, blocks of 32",
        BLOCKS,
        {"order": "random", "decoding_block": 32},
        values=BLOCKS_STEPS,
    ),
    masked(
        "top_prob, blocks of 32",
        BLOCKS,
        {"order": "top_prob", "decoding_block": 32},
        values=BLOCKS_STEPS,
    ),
    Sampler(
        f"bd3lm, block_size {BLOCK_SIZE}",
        BLOCKS,
        "bd3lm",
        {"kind": "block_unmasking", "order": "random"},
        BLOCK_STEPS,
    ),
    Sampler(
        "arlm",
        BLOCKS,
        "arlm",
        {"kind": "left_to_right"},
        vary="temperature",
        values=(1.0,),
    ),
    masked("random, temperature 0.8", DRAWS, {"order": "random", "temperature": 0.8}),
    masked("random, top_p 0.9", DRAWS, {"order": "random", "top_p": 0.9}),
    masked("top_prob, temperature 0", DRAWS, {"order": "top_prob", "temperature": 0.0}),
    masked(
        "remask cap 0.05",
        REMASK,
        {"order": "random", "remask": {"rule": "cap", "eta": 0.05}},
    ),
    masked(
        "remask rescale 0.5",
        REMASK,
        {"order": "random", "remask": {"rule": "rescale", "eta": 0.5}},
    ),
    masked(
        "remask rescale 0.5, confidence",
        REMASK,
        {
            "order": "random",
            "remask": {"rule": "rescale", "eta": 0.5, "confidence": True},
        },
        bounded=False,
    ),
    masked(
        "remask renoise 0.2",
        REMASK,
        {"order": "random", "remask": {"rule": "renoise", "eta": 0.2}},
    ),
    masked(
        "remask plan 1",
        REMASK,
        {"remask": {"rule": "plan", "eta": 1.0}},
        bounded=False,
    ),
    masked(
        "remask cap 0.05, loop",
        REMASK,
        {
            "order": "random",
            "remask": {
                "rule": "cap",
                "eta": 0.05,
                "window": {"kind": "loop", "t_on": 0.55, "t_off": 0.05},
            },
        },
    ),
)
