"""Dropout whose random numbers cost little on a CPU."""

import torch
from torch import Tensor, nn

LEVELS = 2**16
"""A draw is 16 random bits: the probability is a multiple of one in so many."""


class Dropout(nn.Dropout):
    """`nn.Dropout` that takes four draws from every 64 random bits on a CPU.

    PyTorch spends a draw of its generator on every element there, a tenth of the time
    of a training step of a small network. On a GPU and under `torch.compile` this is
    `nn.Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        level = min(round(self.p * LEVELS), LEVELS - 1)
        if not self.training or level == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64)
        words.random_(-(2**63), None)  # all 64 bits
        draws = words.view(torch.int16)[: x.numel()].view(x.shape)
        # A byte for every element is kept for the backward pass. Products with bool are
        # three times as slow.
        kept = torch.empty(x.shape, dtype=torch.int8)
        torch.ge(draws, level - LEVELS // 2, out=kept)
        return (x * kept).mul_(LEVELS / (LEVELS - level))
