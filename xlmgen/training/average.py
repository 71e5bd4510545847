"""Exponential moving average of the weights during training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlmgen.training.sharding import sharded_like


class Average:
    """Average of a model's parameters, in 32 bits and on their device.

    A tied parameter is averaged once. Buffers are not averaged.

    Args:
        model: its current parameters are the initial average.
        decay: maximum decay per update; see `decay_at`.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._parameters = list(model.parameters())
        self._values = [p.detach().float().clone() for p in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after an optimiser step; steps are counted from 1."""
        now = [p.detach().float() for p in self._parameters]
        torch._foreach_lerp_(self._values, now, 1 - decay_at(step, self._decay))

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's parameters and the average; a second call undoes it.

        Values are copied into the parameters' own memory, because FSDP gathers
        parameters from that memory.
        """
        for parameter, average in zip(self._parameters, self._values, strict=True):
            kept = parameter.clone()
            parameter.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average and the model's buffers, by the model's names."""
        values = dict(zip(map(id, self._parameters), self._values, strict=True))
        named = self._model.state_dict(keep_vars=True)
        return {name: values.get(id(t), t.detach()) for name, t in named.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.state_dict().items():
                value.copy_(sharded_like(value, state[name]))


def decay_at(step: int, decay: float) -> float:
    """Decay of the average after a step: min(decay, (1 + step) / (10 + step)).

    The initial weights soon lose their influence: after n steps their share of the
    average is 10! (n + 1)! / (n + 10)!, which is 2·10⁻¹² for n = 100.
    """
    return min(decay, (1 + step) / (10 + step))
