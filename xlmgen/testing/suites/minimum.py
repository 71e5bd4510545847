"""Check that the expectation of a loss is least for an oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from xlmgen.testing.toy import seeded

Expectation = Callable[[nn.Module], float]


def assert_minimum(oracle: nn.Module, expected: Expectation) -> None:
    """Move an oracle's logits both ways: the expectation rises by the same."""
    for seed in range(3):
        before, above, below = (
            expected(Moved(oracle, seed, by)) for by in (0.0, 0.1, -0.1)
        )
        rise = above + below - 2 * before
        assert rise > 1e-4
        # The slope is 0 at a minimum; a third-order term remains.
        assert abs(above - below) < 0.1 * rise


class Moved(nn.Module):
    """A network whose logits are moved at random, the same way for each input."""

    def __init__(self, inner: nn.Module, seed: int, by: float) -> None:
        super().__init__()
        self.inner, self.head, self.by = inner, inner.head, by
        head: Any = inner.head
        shape = (64, head.out_features)
        self.direction = torch.randn(shape, generator=seeded(seed))

    def forward(
        self,
        input_ids: Tensor,
        *inputs: Tensor,
        positions: Tensor | None = None,
        t: Tensor | None = None,
    ) -> Tensor:
        hidden = self.inner(input_ids, *inputs, t=t)
        places = torch.arange(1, input_ids.shape[1] + 1) * 7
        kind = (input_ids * places).sum(1, keepdim=True) + places  # (B, L)
        hidden = hidden + self.by * self.direction[kind % 64]
        return hidden if positions is None else hidden.flatten(0, 1)[positions]
