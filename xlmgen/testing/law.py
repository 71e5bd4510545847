"""Exact distribution of the samples of an unmasking sampler.

The sampler is a Markov chain over the strings of tokens and masks at the positions to
fill. They are few enough to compute their distribution step by step.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Step:
    """A step of the sampler in an area.

    Args:
        area: indices of the fillable positions that it may change.
        reveal: probability that a masked position is revealed.
        remask: probability that a visible position is masked again.
    """

    area: Sequence[int]
    reveal: float
    remask: float = 0.0


def sampler_law(
    model: nn.Module,
    row: Tensor,
    fillable: Tensor,
    steps: Iterable[Step],
    *,
    mask: int,
    suppress_tokens: Sequence[int],
    vocab_size: int,
) -> Tensor:
    """Compute the distribution of samples, starting with MASK at fillable positions.

    Args:
        model: called with `input_ids`; must not depend on the time.
        row: (L,) with MASK at the positions to fill.
        fillable: (L,) bool, n positions.
        suppress_tokens: ids that are never drawn.

    Returns:
        (V, …, V), n dimensions: the probability of every string.
    """
    number = int(fillable.sum())
    law = torch.zeros((vocab_size,) * number, dtype=torch.float64)
    law[(mask,) * number] = 1
    for step in steps:
        strings = law.nonzero()  # (N, n)
        ids = row.repeat(len(strings), 1)
        ids[:, fillable] = strings
        logits = model(ids)[:, fillable].double()
        logits[..., list(suppress_tokens)] = -torch.inf
        moves = _moves(strings, logits.softmax(-1), step, mask)
        law = _joint(law[tuple(strings.T)], moves)
    return law


def _moves(strings: Tensor, drawn: Tensor, step: Step, mask: int) -> Tensor:
    """Transition probabilities (N, n, V) of every position, given the string."""
    vocab_size = drawn.shape[-1]
    stays = F.one_hot(strings, vocab_size).double()
    hides = F.one_hot(torch.tensor(mask), vocab_size).double()
    hidden = (strings == mask)[..., None]
    moved = torch.where(
        hidden,
        (1 - step.reveal) * hides + step.reveal * drawn,
        (1 - step.remask) * stays + step.remask * hides,
    )
    inside = torch.zeros(strings.shape[1], dtype=torch.bool)
    inside[list(step.area)] = True
    return torch.where(inside[:, None], moved, stays)


def _joint(weights: Tensor, moves: Tensor) -> Tensor:
    """Sum weighted products over positions: (N,), (N, n, V) → (V, …, V)."""
    letters = string.ascii_lowercase[: moves.shape[1]]
    terms = ",".join(f"N{letter}" for letter in letters)
    return torch.einsum(f"N,{terms}->{letters}", weights, *moves.unbind(1))
