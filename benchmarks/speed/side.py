"""What a side of the comparison offers: one family at one shape, ready to be run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Generated:
    """What one generation made.

    Args:
        tokens: new tokens of all rows.
        passes: forward passes of the network.
    """

    tokens: int
    passes: int


@dataclass(frozen=True)
class Side:
    """One family as one side builds it.

    Args:
        model: in training mode.
        examples: `examples(number)` makes as many rows for the collator.
        collate: from examples to a batch.
        loss: from a batch to the number to minimise.
        groups: the optimiser's groups of parameters.
        generators: by the name of the predictor's mode.
    """

    model: nn.Module
    examples: Callable[[int], list[Any]]
    collate: Callable[[list[Any]], Any]
    loss: Callable[[Any], Tensor]
    groups: list[dict[str, Any]]
    generators: dict[str, Callable[[], Generated]]


def step(side: Side, batch: Any, optimizer: torch.optim.Optimizer) -> None:
    """Forward, loss, backward and optimiser: what a training step costs."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(side.loss(batch))
    optimizer.step()


def moved_bytes(side: Side, batch: Any) -> int:
    """The least bytes that a step's memory must take and give, were the cache small.

    Parameters are read forward and backward, gradients written once; the optimiser
    reads and writes parameters and its two averages, and reads the gradients. What
    the backward pass keeps of the forward one is written once and read once. All else,
    such as what a kernel that is not fused writes for the next one, could be saved.
    """
    parameters = {p.untyped_storage().data_ptr(): p for p in side.model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in parameters:
            kept[place] = tensor  # alive to the end, so that no place is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        side.loss(batch)
    weights = sum(p.untyped_storage().nbytes() for p in parameters.values())
    activations = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return (2 + 1 + 1 + 3 + 3) * weights + 2 * activations


class NeverEnds(nn.Module):
    """A network that gives EOS no probability: every generation has its full length.

    Args:
        model: gives logits, or a tuple that begins with them.
        eos: the id.
    """

    def __init__(self, model: nn.Module, eos: int) -> None:
        super().__init__()
        self.model = model
        self.eos = eos

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.model(*args, **kwargs)
        logits = output[0] if isinstance(output, tuple) else output
        logits[..., self.eos] = -torch.inf
        return output

    def new_cache(self, *args: Any, **kwargs: Any) -> Any:
        return self.model.new_cache(*args, **kwargs)  # type: ignore[operator]


class Grows(nn.Module):
    """A network that expects in the gaps of a row as much as the row still lacks.

    What an untrained one expects is anything: the two sides would not make as many
    tokens.

    Args:
        model: returns hidden states or logits, and what it expects behind every
            position.
        length: tokens of a whole row.
        pad: id of PAD.
        closed: positions at the beginning behind which nothing is inserted.
        relative: expectations are divided by the time, the share of missing tokens.
    """

    def __init__(
        self,
        model: nn.Module,
        length: int,
        pad: int,
        closed: int,
        relative: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.head = model, getattr(model, "head", None)
        self.length, self.pad, self.closed = length, pad, closed
        self.relative = relative

    def forward(self, input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        states, expected = self.model(input_ids, *args, **kwargs)
        there = input_ids != self.pad
        lacking = (self.length - there.sum(1)).clamp(min=0)
        grows = there.clone()
        grows[:, : self.closed] = False
        share = lacking / grows.sum(1).clamp(min=1)  # (B,)
        if self.relative:
            share = share / kwargs["t"].clamp(min=1e-6)
        return states, (grows * share[:, None]).to(expected.dtype)
