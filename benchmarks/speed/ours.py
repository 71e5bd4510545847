"""Our side: a rendered family, driven as the harness drives it."""

import inspect
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.speed.shapes import Shape
from benchmarks.speed.side import Generated, Grows, Side
from xlmgen.registry import load_family
from xlmgen.runtime.family import Family
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS, MaxLength, SpecialTokens
from xlmgen.training.memory import keep_freed_memory
from xlmgen.training.optimizer import parameter_groups

WEIGHT_DECAY = 0.01
ENDLESS = {"stop_threshold": 1.0}
"""Options with which a predictor does not end before it has made all tokens."""


def build(name: str, shape: Shape) -> Side:
    """A family of ours at a shape."""
    torch.manual_seed(0)
    keep_freed_memory()  # as the harness does
    family = load_family(name)
    tokens = SpecialTokens(vocab_size=shape.vocab)
    model = family.model(
        shape.vocab,
        d_model=shape.d_model,
        layers=shape.layers,
        num_heads=shape.num_heads,
        dropout=shape.dropout,
    )
    max_length = fitting_max_length(family, tokens, shape)
    collate = family.collators["lm"](tokens, max_length)
    loss = family.loss(tokens)
    return Side(
        model=model,
        examples=partial(_examples, max_length.answer - 2, shape.vocab),
        collate=lambda rows: collate(rows, None),
        loss=lambda batch: loss(model, batch)["loss"],
        groups=parameter_groups(model, WEIGHT_DECAY),
        generators=_generators(family, tokens, model, shape),
    )


def fitting_max_length(
    family: Family, tokens: SpecialTokens, shape: Shape
) -> MaxLength:
    """The maximum length with which the network sees `shape.length` positions or fewer.

    BOS and EOS are part of it; of a causal family one of the two is no position
    of the network, and a family may add CLS.
    """
    generator = torch.Generator().manual_seed(0)
    for length in (shape.length + 1, shape.length):
        max_length = MaxLength(length)
        rows = _examples(length - 2, shape.vocab, 4096)
        batch = family.collators["lm"](tokens, max_length)(rows, generator)
        if batch["input_ids"].shape[1] <= shape.length:
            return max_length
    raise ValueError(f"{family.name} adds more than two tokens to a row")


def _examples(length: int, vocab: int, number: int) -> list[Any]:
    draw = random.Random(0)
    ids = range(len(SPECIAL_TOKENS), vocab)
    return [{"tokens": draw.choices(ids, k=length)} for _ in range(number)]


def _generators(
    family: Family, tokens: SpecialTokens, model: nn.Module, shape: Shape
) -> dict[str, Callable[[], Generated]]:
    """By mode: the predictor as it is, at every number of steps where it has one."""
    options = inspect.signature(family.predictor).parameters
    endless = {name: value for name, value in ENDLESS.items() if name in options}
    modes: dict[str, dict[str, Any]] = {"": endless}
    if "steps" in options:
        modes = {f"{steps} steps": {**endless, "steps": steps} for steps in shape.steps}
    max_length = MaxLength(shape.new, shape.prompt)
    prompts = [
        {"prompt": row["tokens"]}
        for row in _examples(shape.prompt - 1, shape.vocab, shape.rows)
    ]
    batch = family.collators["predict"](tokens, max_length)(prompts, None)
    network: nn.Module = model
    if "insertable" in batch:
        given = batch["input_ids"].shape[1]
        network = Grows(
            network,
            given + shape.new,
            tokens.pad,
            closed=given - 1,
            relative=hasattr(model, "gap"),
        )

    def generate(predictor: Any) -> Generated:
        sample = predictor.sample  # gives EOS no probability, as `NeverEnds` does
        predictor.sample = replace(
            sample, suppress_tokens=tuple({*sample.suppress_tokens, tokens.eos})
        )
        made = predictor.generate(network, batch)
        return Generated(int(made.generated.sum()), made.forward_passes)

    return {
        mode: partial(generate, family.predictor(tokens, **numbers))
        for mode, numbers in modes.items()
    }
