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
    side.loss(batch).backward()
    optimizer.step()


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
