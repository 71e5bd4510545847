"""Rotation and attention in one, a few rows of the batch at a time.

On a CPU the attention of PyTorch multiplies blocks too small for its library of
products, and rotating queries and keys before it makes copies of both that are kept for
the backward pass. Here the scores of a few rows fill the processor's cache, their
products are oneDNN's, and only what came in is kept: the backward pass rotates, and
takes the softmax, once more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xlmgen.runtime.nn.linear import by_onednn, onednn_can

CACHED = 2**19
"""Scores of one piece, which a CPU's cache holds."""
LARGEST = 2**22
"""Scores of one row, above which the attention of PyTorch, which makes them block by
block, costs less."""
FEWEST_POSITIONS = 32

Rotation = tuple[Tensor, Tensor]
"""cos and sin, (B or 1, 1, L, head_dim) each."""


def pays(x: Tensor, heads: int) -> bool:
    """Whether attention from x (B, L, …) to itself gains from being made here."""
    length = x.shape[1]
    return (
        onednn_can(x)  # first: a compiler is not to be asked about lengths
        and length >= FEWEST_POSITIONS
        and heads * length**2 <= LARGEST
    )


def rotated_attention(
    qkv: Tensor, kv_heads: int, rotary: Rotation, mask: Tensor | None, *, causal: bool
) -> Tensor:
    """What `attend` computes without a cache.

    A query that sees nothing gets the mean of all values.

    Args:
        qkv: (B, L, H + 2 · kv_heads, head_dim): queries, then keys, then values.
        rotary: cos and sin.
        mask: broadcastable to (B, H, L, L), True is seen.
        causal: whether a position sees only itself and those before it; counts where
            there is no mask.

    Returns:
        (B, L, H · head_dim)
    """
    y: Tensor = _RotatedAttention.apply(qkv, kv_heads, *rotary, mask, causal)  # type: ignore[no-untyped-call]
    return y


class _RotatedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        kv_heads: int,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        causal: bool,
    ) -> Tensor:
        cos, sin = cos.to(qkv.dtype), sin.to(qkv.dtype)
        batch, length, every, head_dim = qkv.shape
        y = qkv.new_empty(batch, length, every - 2 * kv_heads, head_dim)
        bias = _bias(qkv, mask, causal)
        with by_onednn():
            for rows in _pieces(qkv, kv_heads):
                *_, v, shares = _shares(qkv[rows], kv_heads, cos, sin, bias, rows)
                out = y[rows].transpose(1, 2)
                out.copy_(torch.bmm(shares, v).view(out.shape))
        ctx.save_for_backward(qkv, cos, sin, mask)
        ctx.kv_heads, ctx.causal = kv_heads, causal
        return y.flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor) -> tuple[Tensor | None, ...]:
        qkv, cos, sin, mask = ctx.saved_tensors
        kv_heads, scale = ctx.kv_heads, qkv.shape[3] ** -0.5
        of_qkv = torch.empty_like(qkv)
        of_y = of_y.reshape(*of_y.shape[:2], -1, qkv.shape[3])
        bias = _bias(qkv, mask, ctx.causal)
        with by_onednn():
            for rows in _pieces(qkv, kv_heads):
                piece = qkv[rows]
                q, k, v, shares = _shares(piece, kv_heads, cos, sin, bias, rows)
                of_out = _stacked(of_y[rows].transpose(1, 2), kv_heads)
                of_scores = torch._softmax_backward_data(
                    torch.bmm(of_out, v.mT), shares, -1, qkv.dtype
                )

                at_q, at_k, at_v = split_heads(of_qkv[rows], kv_heads)
                back = _of(rows, cos) * scale, _of(rows, sin) * -scale
                at_q.copy_(_rotate(torch.bmm(of_scores, k).view(at_q.shape), back))
                at_k.copy_(_rotate(torch.bmm(of_scores.mT, q).view(at_k.shape), back))
                at_v.copy_(torch.bmm(shares.mT, of_out).view(at_v.shape))
        return of_qkv, None, None, None, None, None


def _pieces(qkv: Tensor, kv_heads: int) -> list[slice]:
    batch, length, every, _ = qkv.shape
    rows = max(1, CACHED // ((every - 2 * kv_heads) * length**2))
    return [slice(begin, begin + rows) for begin in range(0, batch, rows)]


def _bias(qkv: Tensor, mask: Tensor | None, causal: bool) -> Tensor | None:
    """What is added to the scores, broadcastable to (B, H, L, L)."""
    length = qkv.shape[1]
    if mask is None:
        if not causal:
            return None
        mask = torch.ones(1, 1, length, length, dtype=torch.bool).tril()
    # Far below any score, and finite: a softmax over nothing would be NaN.
    unseen = torch.finfo(qkv.dtype).min / 2
    return torch.zeros(mask.shape, dtype=qkv.dtype).masked_fill_(~mask, unseen)


def _shares(
    piece: Tensor,
    kv_heads: int,
    cos: Tensor,
    sin: Tensor,
    bias: Tensor | None,
    rows: slice,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rotated queries and keys, values, and what every query takes of each value.

    R rows, G queries to a key: (R · kv_heads, G · L or L, …).
    """
    turn = _of(rows, cos), _of(rows, sin)
    q, k, v = split_heads(piece, kv_heads)
    shape = (q.shape[0], q.shape[1], q.shape[2], q.shape[2])
    q, k = _rotate(q, turn), _rotate(k, turn)
    q, k, v = (_stacked(x, kv_heads) for x in (q, k, v))
    scores = q.new_empty(len(q), q.shape[1], k.shape[1])
    scale = q.shape[2] ** -0.5
    torch.baddbmm(scores, q, k.mT, beta=0, alpha=scale, out=scores)
    if bias is not None:
        scores.view(shape).add_(_of(rows, bias))
    return q, k, v, torch.softmax(scores, -1)


def split_heads(qkv: Tensor, kv_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of (B, L, H + 2 · kv_heads, …), as (B, …, L, …) each."""
    heads = qkv.transpose(1, 2)
    sizes = [heads.shape[1] - 2 * kv_heads, kv_heads, kv_heads]
    q, k, v = torch.split(heads, sizes, dim=1)
    return q, k, v


def _stacked(x: Tensor, kv_heads: int) -> Tensor:
    """(R, heads, L, …) with what belongs to one key below each other."""
    return x.reshape(len(x) * kv_heads, -1, x.shape[-1])


def _of(rows: slice, x: Tensor) -> Tensor:
    """Its rows, where they differ."""
    return x if len(x) == 1 else x[rows]


def _rotate(x: Tensor, turn: Rotation) -> Tensor:
    """`rotate` without copies of halves; what it gives is contiguous."""
    cos, sin = turn
    half = x.shape[-1] // 2
    y = torch.mul(x, cos, out=x.new_empty(x.shape))
    y[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    y[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return y
