"""Stability of predictions: the change of distributions from pass to pass."""

import torch
from torch import Tensor

__all__ = ["StabilityCounter", "kl_divergence"]


class StabilityCounter:
    """Count of the passes in a row in which a position's distribution hardly changed.

    The count of KLASS (Kim et al. 2025, arXiv:2511.05664). In its first pass a position
    has no earlier distribution: its count is 0, whatever the distribution is.

    Shapes: B rows, L positions, N selected positions, V vocabulary.

    Args:
        limit: in nats; a change counts as stable if KL(now ‖ before) is less.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._before: Tensor | None = None  # (M, V) of the M positions `_where`
        self._where = torch.empty(0)
        self._count = torch.empty(0)  # (B, L)

    def update(self, log_probs: Tensor, where: Tensor) -> Tensor:
        """Count this pass.

        Args:
            log_probs: (N, V), normalised, −∞ at excluded ids.
            where: (B, L) bool with N true positions, among those of the last pass.

        Returns:
            (B, L) int64, the number of stable passes up to this one; 0 elsewhere.
        """
        if self._before is None:
            count = torch.zeros_like(where, dtype=torch.int64)
        else:
            before = self._before[where[self._where]]  # (N, V)
            stable = torch.zeros_like(where)
            stable[where] = kl_divergence(log_probs, before) < self.limit
            count = torch.where(stable, self._count + 1, 0)
        self._before, self._where, self._count = log_probs, where, count
        return count


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats of every row of normalised log-probabilities. (N, V) → (N,)

    Ids of probability 0 in p count nothing.
    """
    terms = log_p.exp() * (log_p - log_q)
    return terms.masked_fill(log_p.isneginf(), 0.0).sum(-1)
