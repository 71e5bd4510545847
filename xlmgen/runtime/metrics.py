"""Base classes of rendered metrics, with sums that stay on the device."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["MeanLoss", "NllMetric"]


class NllMetric(Metric):
    """Sums of a loss's `row_loss` and `normalizer`, over rows and ranks.

    A subclass may name other keys, if the minimised loss is not a likelihood but its
    output has one.
    """

    numerator, denominator = "row_loss", "normalizer"
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
        """Args: output with `row_loss` (B,) in nats and `normalizer` (B,)."""
        self.total_nll += output[self.numerator].sum()
        self.total_tokens += output[self.denominator].sum()
        self.total_rows += len(output[self.numerator])

    def per_token(self) -> Tensor:
        """Mean nats per token; every token has equal weight in all batches."""
        return self.total_nll / self.total_tokens.clamp(min=1)

    def per_sequence(self) -> Tensor:
        """Mean nats per row."""
        return self.total_nll / self.total_rows.clamp(min=1)


class MeanLoss(Metric):
    """Mean loss of batches, weighted by their tokens; a NaN makes it NaN.

    `torchmetrics.MeanMetric` would ignore NaN batches.
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
        """Args: mean loss of a batch () and its number of tokens ()."""
        self.total += loss * num_tokens
        self.total_tokens += num_tokens

    def compute(self) -> Tensor:
        return self.total / self.total_tokens
