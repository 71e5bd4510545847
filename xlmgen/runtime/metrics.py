"""What the renders' metrics are built on: sums that stay on the device."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["MeanLoss", "NllMetric"]


class NllMetric(Metric):
    """Adds up `nll` and `num_tokens` of what a loss returned, over rows and ranks.

    A subclass may name two others, where the loss that is minimised is no likelihood
    but comes with one.
    """

    nll, num_tokens = "nll", "num_tokens"
    full_state_update = False
    total_nll: Tensor
    total_tokens: Tensor
    total_rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total_nll", "total_tokens", "total_rows"):
            zero = torch.zeros((), dtype=torch.float64)
            self.add_state(name, default=zero, dist_reduce_fx="sum")

    def update(self, output: Mapping[str, Tensor]) -> None:
        """Args: output with `nll` (B,) in nats and `num_tokens` (B,)."""
        self.total_nll += output[self.nll].sum()
        self.total_tokens += output[self.num_tokens].sum()
        self.total_rows += len(output[self.nll])

    def per_token(self) -> Tensor:
        """Mean nats per token: every token counts the same, whatever its batch."""
        return self.total_nll / self.total_tokens.clamp(min=1)

    def per_sequence(self) -> Tensor:
        """Mean nats per row."""
        return self.total_nll / self.total_rows.clamp(min=1)


class MeanLoss(Metric):
    """The mean of batches' losses, each counting as its tokens.

    That of torchmetrics would leave NaN out, as if those batches had not been.
    """

    full_state_update = False
    total: Tensor
    total_tokens: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "total_tokens"):
            zero = torch.zeros((), dtype=torch.float64)
            self.add_state(name, default=zero, dist_reduce_fx="sum")

    def update(self, loss: Tensor, num_tokens: Tensor) -> None:
        """Args: a batch's mean loss () and the number of its tokens ()."""
        self.total += loss * num_tokens
        self.total_tokens += num_tokens

    def compute(self) -> Tensor:
        return self.total / self.total_tokens
