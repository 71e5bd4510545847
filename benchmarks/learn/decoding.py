"""How to decode a run one token per forward pass, where its sampler reveals several."""

import re
from collections.abc import Mapping
from typing import Any


def one_token_per_pass(
    predictor: Mapping[str, Any], answer: int
) -> dict[str, Any] | None:
    """Options with which a predictor reveals one token of a row per forward pass.

    Tokens that are revealed in the same pass are drawn independently of each other: a
    sampler that reveals several may mix two right answers.

    Args:
        predictor: the predictor of a family's YAML, with the options of the experiment.
        answer: tokens of the longest answer.

    Returns:
        None where it reveals one at a time already, or cannot do so.
    """
    if predictor["kind"] not in ("unmasking", "block_unmasking"):
        return None
    if predictor.get("order", "random") == "random":
        if predictor.get("first_hitting"):
            return None
        remask = {"remask": None} if predictor.get("remask") else {}
        return {"first_hitting": True, **remask}
    options: dict[str, Any] = {
        key: None
        for key in ("threshold", "entropy_bound")
        if predictor.get(key) is not None
    }
    needed = answer
    if predictor["kind"] == "unmasking" and (block := predictor.get("decoding_block")):
        needed = -(-answer // block) * block  # the steps are divided among the blocks
    steps = predictor.get("steps", 0)
    if steps is not None and steps < needed:  # None is one step per token
        options["steps"] = needed
    return options or None


def arguments(options: Mapping[str, Any]) -> list[str]:
    """The options as `xlmgen eval` takes them."""
    text = {None: "null", True: "true", False: "false"}
    return [f"predictor.{k}={text.get(v, v)}" for k, v in options.items()]


def result_name(options: Mapping[str, Any]) -> str:
    """The name under which `xlmgen eval` writes an evaluation of the test split."""
    parts = [f"{k}={v}" for k, v in sorted(options.items()) if v is not None]
    return "-".join(["test", *(re.sub(r"[^\w.=+]+", "_", part) for part in parts)])
