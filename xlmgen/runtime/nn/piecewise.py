"""Cross-entropy and log Σ exp of logits that never exist all at once.

The gradient of a piece of the logits is made while they are there, and goes into those
of stream and head before the next piece takes its memory. For that the weight of every
row has to be known at once; a common factor may come later, by the chain rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xlmgen.runtime.nn.linear import by_onednn, faster

CACHED, MULTIPLIED = 2**18, 2**24
"""Logits that are passed over together, and multiplied together: what a CPU's cache
holds, and rows enough that a product costs no more than it has to."""
COLUMNS = 2**10
"""The fewest tokens of a piece that is multiplied and passed over in the cache."""

Ids = tuple[int, ...]


def piecewise_cross_entropy(
    x: Tensor, head: Tensor, targets: Tensor, weight: Tensor | None, never: Ids
) -> Tensor:
    """`cross_entropy` of the logits x Wᵀ.

    Args:
        x: (N, D) in any precision, that of the products.
        head: W (V, D) in any precision, that of its gradient.
    """
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    if weight is None:
        weight = torch.ones((), device=x.device).expand(len(x))
    weight = weight.to(wide)
    nll: Tensor = _Piecewise.apply(x, head, targets, weight, never)  # type: ignore[no-untyped-call]
    return nll


def piecewise_log_partition(x: Tensor, head: Tensor, never: Ids) -> Tensor:
    """log Σ exp of every row of the logits x Wᵀ; nothing is learnt from it.

    Args:
        x: (N, D) in any precision, that of the products.
        head: W (V, D).

    Returns:
        (N,), at least float32; −∞ where nothing has a probability
    """
    narrow = head.to(x.dtype)
    wide = x.dtype if x.dtype == torch.float64 else torch.float32
    columns = _pieces(narrow, x[: CACHED // COLUMNS], CACHED)
    pieces = _pieces(x, narrow[:COLUMNS], CACHED)
    memory = x.new_empty(max(CACHED, COLUMNS))
    log_sums = x.new_empty(len(x), len(columns), dtype=wide)
    with torch.no_grad(), _as_they_are(x, narrow):
        for part, tokens in enumerate(columns):
            w = narrow[tokens]
            within = range(tokens.start, tokens.stop)
            without = [within.index(id_) for id_ in never if id_ in within]
            for rows in pieces:
                shape = rows.stop - rows.start, len(w)
                logits = memory[: shape[0] * shape[1]].view(shape)
                logits = torch.mm(x[rows], w.T, out=logits).to(wide)
                for id_ in without:
                    logits[:, id_] = -torch.inf
                log_sums[rows, part] = log_sum_exp(logits)
    return log_sum_exp(log_sums)


def piecewise_nll(x: Tensor, head: Tensor, targets: Tensor, never: Ids) -> Tensor:
    """−log p of every target by the logits x Wᵀ; nothing is learnt from it.

    Args:
        x: (N, D) in any precision, that of the products.
        head: W (V, D).

    Returns:
        (N,), at least float32
    """
    narrow = head.to(x.dtype)
    wide = x.dtype if x.dtype == torch.float64 else torch.float32
    nll = x.new_empty(len(x), dtype=wide)
    with torch.no_grad(), _as_they_are(x, narrow):
        for rows, logits in _products(x, narrow):
            for some in _pieces(logits, logits.T, CACHED):
                piece = logits[some].to(wide)
                for id_ in never:
                    piece[:, id_] = -torch.inf
                score = piece.gather(1, targets[rows][some, None])[:, 0]
                log_top = piece.log_softmax(-1).amax(-1)
                nll[rows][some] = piece.amax(-1) - score - log_top
    return nll


def log_sum_exp(logits: Tensor) -> Tensor:
    """Of every row (N, V), at least float32: (N,); −∞ if all of it is."""
    top = logits.amax(-1)
    # PyTorch's log-softmax is twice as fast as its logsumexp on a CPU.
    log_top = logits.log_softmax(-1).amax(-1)
    return torch.where(top.isneginf(), top, top - log_top)


class _Piecewise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        head: Tensor,
        targets: Tensor,
        weight: Tensor,
        never: Ids,
    ) -> Tensor:
        ctx.save_for_backward(x, head, targets, weight)
        ctx.never = never
        nll, *ctx.gradients = _pass(x, head, targets, weight, never)
        return nll * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        x, head, targets, weight = ctx.saved_tensors
        if ctx.gradients is None or not _alike(of_loss):
            _, of_x, of_head = _pass(x, head, targets, weight * of_loss, ctx.never)
        else:
            of_x, of_head = ctx.gradients
            of_x *= of_loss[0]
            of_head *= of_loss[0]
        ctx.gradients = None  # they belong to who gets them
        return of_x, of_head, None, None, None


def _alike(x: Tensor) -> bool:
    return len(x) > 0 and bool((x == x[0]).all())


def _pass(
    x: Tensor, head: Tensor, targets: Tensor, weight: Tensor, never: Ids
) -> tuple[Tensor, Tensor, Tensor]:
    """−log p of every target, and the gradients of their weighted sum."""
    narrow = head.to(x.dtype)
    nll = torch.empty_like(weight)
    of_x, of_head = torch.empty_like(x), torch.zeros_like(head)
    with _as_they_are(x, narrow):
        for rows, logits in _products(x, narrow):
            nll[rows] = _differentiate(logits, targets[rows], weight[rows], never)
            gradient = logits  # now
            torch.mm(gradient, narrow, out=of_x[rows])
            if head.dtype == x.dtype:
                of_head.addmm_(gradient.T, x[rows])
            else:
                of_head += gradient.T @ x[rows]
    return nll, of_x, of_head


def _differentiate(
    logits: Tensor, targets: Tensor, weight: Tensor, never: Ids
) -> Tensor:
    """−log p of every target; the logits become the gradient of their weighted sum."""
    nll = torch.empty_like(weight)
    for rows in _pieces(logits, logits.T, CACHED):
        piece, scale, at = logits[rows], weight[rows, None], targets[rows, None]
        wide = piece.to(weight.dtype)
        for id_ in never:
            wide[:, id_] = -torch.inf
        top, score = wide.amax(-1, keepdim=True), wide.gather(1, at)
        share = wide.softmax(-1)
        # The largest share is never so small that its logarithm would suffer.
        loss = top - share.amax(-1, keepdim=True).log() - score
        torch.mul(share, scale, out=piece)
        # A share near 1, less 1, would be lost where numbers are narrow.
        piece.scatter_(1, at, (torch.expm1(-loss) * scale).to(piece.dtype))
        for id_ in never:
            piece[:, id_] = 0
        nll[rows] = loss[:, 0]
    return nll


@contextmanager
def _as_they_are(x: Tensor, narrow: Tensor) -> Iterator[None]:
    """Products in the precision of x and W, by the faster library."""
    onednn = by_onednn() if faster(x, narrow) else nullcontext()
    with onednn, torch.autocast(x.device.type, enabled=False):
        yield


def _products(x: Tensor, narrow: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Logits x Wᵀ of some rows at a time, each in the memory of those before."""
    pieces = _pieces(x, narrow, MULTIPLIED)
    memory = x.new_empty(pieces[0].stop if pieces else 0, len(narrow))
    for rows in pieces:
        yield rows, torch.mm(x[rows], narrow.T, out=memory[: len(x[rows])])


def _pieces(x: Tensor, head: Tensor, logits: int) -> list[slice]:
    """Rows of x (N, …) that have so many logits together, by W (V, …)."""
    rows = max(1, logits // max(1, len(head)))
    return [slice(begin, min(begin + rows, len(x))) for begin in range(0, len(x), rows)]
