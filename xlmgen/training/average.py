"""An exponential moving average of the weights, beside those that are trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlmgen.training.sharding import sharded_like


class Average:
    """The average of a model's parameters, in 32 bits and on their device.

    A tied parameter is averaged once. Buffers are not averaged: they are the model's.

    Args:
        model: its parameters now are the average so far.
        decay: the most that the average keeps of itself in one update.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._parameters = list(model.parameters())
        self._values = [p.detach().float().clone() for p in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the parameters in after an optimiser step, which is counted from 1."""
        now = [p.detach().float() for p in self._parameters]
        torch._foreach_lerp_(self._values, now, 1 - decay_at(step, self._decay))

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's parameters and the average; twice is not at all.

        Values are copied, so that whoever holds a parameter's memory, such as the one
        who gathers its parts from several processes, sees the exchange.
        """
        for parameter, average in zip(self._parameters, self._values, strict=True):
            kept = parameter.clone()
            parameter.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """The average by the model's own names, and its buffers."""
        values = dict(zip(map(id, self._parameters), self._values, strict=True))
        named = self._model.state_dict(keep_vars=True)
        return {name: values.get(id(t), t.detach()) for name, t in named.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.state_dict().items():
                value.copy_(sharded_like(value, state[name]))


def decay_at(step: int, decay: float) -> float:
    """What the average keeps of itself after a step: little at first, then `decay`.

    The weights that training began with are soon forgotten: after n steps their part
    of the average is 10! (n + 1)! / (n + 10)!, which is 2·10⁻¹² after 100.
    """
    return min(decay, (1 + step) / (10 + step))
