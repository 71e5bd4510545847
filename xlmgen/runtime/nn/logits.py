"""Cross-entropy over a large vocabulary in the memory of its logits.

The loss of PyTorch keeps the logits, their log-softmax and the gradient: three times
what the logits take, which is most of a small model's memory. Here the gradient is
written over the logits, a piece at a time that fits in a processor's cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xlmgen.runtime.nn.head import Logits
from xlmgen.runtime.nn.piecewise import (
    log_sum_exp,
    piecewise_cross_entropy,
    piecewise_log_partition,
    piecewise_nll,
)
from xlmgen.runtime.sampling import exclude, wide

CACHED, LAUNCHED = 2**19, 2**26
"""Logits of one piece: what a CPU's cache holds, and few launches on other devices."""

Ids = tuple[int, ...]


def cross_entropy(
    logits: Tensor, targets: Tensor, weight: Tensor | None = None, never: Ids = ()
) -> Tensor:
    """−log softmax(logits) at the targets, each times its weight.

    The backward pass puts the gradient where the logits are: they can be used for
    nothing else after it, and there is only one. Logits of a `Head` that nobody
    has looked at are never made all at once; what weighs their rows unequally
    should be given as `weight`, since they are made a second time if it is not.

    Args:
        logits: (N, V) in any precision.
        targets: (N,) int64.
        weight: (N,), of which no gradient is taken; None is 1.
        never: ids without probability.

    Returns:
        (N,) in nats, at least float32
    """
    if isinstance(logits, Logits) and not logits.is_made:
        x, head = logits.x, logits.weight
        if logits.requires_grad:
            return piecewise_cross_entropy(x, head, targets, weight, never)
        nll = piecewise_nll(x, head, targets, never)
    else:
        rows = torch.arange(len(targets), device=targets.device)
        partition, scores = log_partition_and_scores(logits, rows, targets, never)
        nll = partition - scores
    return nll if weight is None else weight.detach() * nll


def log_partition_and_scores(
    logits: Tensor, rows: Tensor, ids: Tensor, never: Ids = ()
) -> tuple[Tensor, Tensor]:
    """log Σ exp of every row, and some of the logits; see `cross_entropy`.

    Args:
        logits: (N, V) in any precision.
        rows: (D,) int64, the rows of the logits that are wanted.
        ids: (D,) int64, their columns.
        never: ids without probability: −∞ wherever they are wanted.

    Returns:
        (N,) and (D,), at least float32
    """
    if torch.compiler.is_compiling():  # which fuses the plain version by itself
        logits = exclude(wide(logits), never)
        return logits.logsumexp(-1), logits[rows, ids]
    if isinstance(logits, Logits):
        # A score that no logit was rounded to could be more than a sum of 16 bits.
        exact = logits.dtype in (torch.float32, torch.float64)
        if exact and not logits.is_made and not logits.requires_grad:
            scores = (logits.x[rows] * logits.weight[ids]).sum(-1)
            return log_partition(logits, never), without(scores, ids, never)
        logits = logits.made()
    pair: tuple[Tensor, Tensor] = _InPlace.apply(logits, rows, ids, never)  # type: ignore[no-untyped-call]
    return pair


class _InPlace(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, rows: Tensor, ids: Tensor, never: Ids
    ) -> tuple[Tensor, Tensor]:
        pieces = torch.split(logits, _rows_of_a_piece(logits))
        log_partition = torch.cat(
            [exclude(wide(piece), never).logsumexp(-1) for piece in pieces]
        )
        scores = without(wide(logits[rows, ids]), ids, never)
        ctx.save_for_backward(logits, rows, ids, log_partition)
        ctx.never, ctx.spent = never, False
        # What somebody else still holds is not ours to write to.
        source = logits if logits._base is None else logits._base
        ctx.ours = logits.is_contiguous() and not source.is_leaf
        return log_partition, scores

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_partition: Tensor, of_scores: Tensor
    ) -> tuple[Tensor, None, None, None]:
        if ctx.spent:
            raise RuntimeError("the logits were overwritten by an earlier backward")
        ctx.spent = True
        logits, rows, ids, log_partition = ctx.saved_tensors
        at_scores = wide(logits[rows, ids]).sub_(log_partition[rows]).exp_()
        at_scores *= of_partition[rows]
        for id_ in ctx.never:
            at_scores = at_scores.masked_fill(ids == id_, 0)
            of_scores = of_scores.masked_fill(ids == id_, 0)

        gradient = logits.detach()  # the same memory
        if not ctx.ours:
            gradient = gradient.clone(memory_format=torch.contiguous_format)
        several = (gradient, log_partition, of_partition)
        size = _rows_of_a_piece(logits)
        for piece, log_z, of_z in zip(*(x.split(size) for x in several), strict=True):
            share = wide(piece).sub_(log_z[:, None]).exp_().mul_(of_z[:, None])
            for id_ in ctx.never:
                share[:, id_] = 0
            if share is not piece:
                piece.copy_(share)

        # The sum is taken before it is rounded: a probability near 1, less 1, would
        # be lost in 16 bits. A place that is wanted twice gets the gradient of both.
        place = rows * logits.shape[-1] + ids
        same = torch.searchsorted(place.sort().values, place)
        both = torch.zeros_like(of_scores).index_add(0, same, of_scores)
        gradient[rows, ids] = (at_scores + both[same]).to(gradient.dtype)
        return gradient, None, None, None


def without(scores: Tensor, ids: Tensor, never: Ids) -> Tensor:
    """Scores (D,) of ids (D,), −∞ for those without probability."""
    for id_ in never:
        scores = scores.masked_fill(ids == id_, -torch.inf)
    return scores


def log_partition(logits: Tensor, never: Ids = ()) -> Tensor:
    """log Σ exp of every row in the memory of a few of them; nothing is learnt from it.

    Args:
        logits: (…, V) in any precision.
        never: ids without probability.

    Returns:
        (…), at least float32; −∞ for a row without any probability
    """
    shape = logits.shape[:-1]
    if isinstance(logits, Logits) and not logits.is_made:
        x = logits.x.flatten(0, -2)
        return piecewise_log_partition(x, logits.weight, never).view(shape)
    flat = logits.flatten(0, -2)
    pieces = torch.split(flat, _rows_of_a_piece(flat))
    sums = [log_sum_exp(exclude(wide(piece), never)) for piece in pieces]
    return torch.cat(sums).view(shape)


def _rows_of_a_piece(logits: Tensor) -> int:
    number = CACHED if logits.device.type == "cpu" else LAUNCHED
    return max(1, number // max(1, logits.shape[-1]))
