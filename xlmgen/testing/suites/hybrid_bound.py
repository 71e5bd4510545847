"""Tests of the definition of the loss of hybrid diffusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xlmgen.testing.suites.loss import Batch
from xlmgen.testing.suites.state_bound import RowDefinitionTests


class HybridBoundTests(RowDefinitionTests):
    """`Σ_i ω [KL(q ‖ qθ) + ρ − ln ρ − 1]` of every row (arXiv:2503.04482)."""

    def reference(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of every row, over all symbols and with the paper's weights."""
        symbols, size = self.noise.symbols, self.size
        t = batch["t"].double()
        alpha, drawn = self.noise(t)
        drawn = drawn[:, symbols]
        logits = model(batch["input_ids"], batch["attention_mask"], t=batch["t"])
        p = logits[..., self.ordinary].double().softmax(-1)
        p = torch.nn.functional.pad(p, (0, 1))  # MASK is no clean token
        found = torch.zeros(len(t), dtype=torch.float64)
        for row, column in batch["noisable"].nonzero().tolist():
            x, z = (
                symbols.index(int(batch[key][row, column]))
                for key in ("target_ids", "input_ids")
            )
            true = drawn[row].clone()
            true[x] += alpha[row]
            predicted = drawn[row] + alpha[row] * p[row, column]
            divergence = (true * (true / predicted).log()).sum()
            ratio = true[z] / predicted[z]
            divergence = divergence + ratio - ratio.log() - 1
            weight = self.weight(float(t[row]), size, masked=z == size, kept=z == x)
            found[row] += weight * divergence
        return found

    def terms(self, batch: Batch) -> Tensor:
        """The largest weight."""
        t = batch["t"].double()
        return batch["noisable"].sum(1) / (t * (1 - t))

    def weight(self, t: float, size: int, *, masked: bool, kept: bool) -> float:
        """ω of equation 12, from c and its derivative."""
        share = float(self.noise.schedule.uniform_share)
        c = 2 * share / (1 - share) * (t * (1 - t)) ** 0.5
        slope = (1 - 2 * t) / (2 * t * (1 - t)) * c
        if masked:
            return 1 / (t * (1 - t))
        if kept:
            return (c + (1 - t) * slope) / (size * (1 - t) * (1 - t + c / size))
        return (c + (1 - t) * slope) / ((1 - t) * c)
