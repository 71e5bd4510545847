"""Multi-head attention with rotary positions, grouped queries and an optional cache."""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.runtime.nn.cache import KeyValueCache
from xlmgen.runtime.nn.linear import Linear, product
from xlmgen.runtime.nn.positions import (
    positions_by_row,
    select_columns,
    select_positions,
)
from xlmgen.runtime.nn.rotary import rotate


def key_mask(attention_mask: Tensor | None) -> Tensor | None:
    """Mask for bidirectional attention.

    Args:
        attention_mask: (B, L) bool, False on pads; or int, the document of each token,
            which then sees its own document only; or None.

    Returns:
        (B, 1, 1, L) bool; (B, 1, L, L) where there are documents; None stays None.
    """
    if attention_mask is None:
        return None
    if attention_mask.dtype == torch.bool:
        return attention_mask[:, None, None, :]
    return same_document(attention_mask, attention_mask)


def same_document(queries: Tensor, keys: Tensor) -> Tensor:
    """(B, Q) and (B, K) int, the document of each token → (B, 1, Q, K) bool.

    Pads are a document of their own, so that no row of the softmax is empty.
    """
    return (queries[:, :, None] == keys[:, None, :])[:, None]


def causal_mask(
    input_ids: Tensor, attention_mask: Tensor | None, past: int = 0
) -> Tensor | None:
    """Mask for causal attention of new tokens behind `past` cached ones.

    Args:
        input_ids: (B, L), the new tokens.
        attention_mask: (B, past + L) over all keys: bool, False on pads; or int, the
            document of each token, which then sees its own document only; or None.

    Returns:
        (B or 1, 1, L, past + L) bool, or None where `Attention` needs no mask: one new
        token sees everything, and a first pass is plainly causal.
    """
    length, device = input_ids.shape[1], input_ids.device
    if attention_mask is None and (length == 1 or past == 0):
        return None
    before = torch.ones(length, past + length, dtype=torch.bool, device=device)
    before = before.tril(past)
    if attention_mask is None:
        return before[None, None]
    if attention_mask.dtype != torch.bool:
        return before & same_document(attention_mask[:, past:], attention_mask)
    if length == 1:
        return key_mask(attention_mask)
    # A pad on the left has nothing to attend to: it sees itself, so that no row of the
    # softmax is empty, which would be NaN.
    own = torch.eye(length, past + length, dtype=torch.bool, device=device)
    return (before & attention_mask[:, None, None, :]) | own.roll(past, dims=1)


def attend(
    qkv: Tensor,
    num_kv_heads: int,
    rotary: tuple[Tensor, Tensor],
    mask: Tensor | None,
    cache: KeyValueCache | None,
    layer: int,
    *,
    causal: bool,
    query_rotary: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Rotate queries and keys, take in the cached ones, and attend.

    Args:
        qkv: (B, L, H + 2 · num_kv_heads, head_dim): queries, then keys, then values.
        query_rotary: of the queries; None rotates them like the keys.
        mask: broadcastable to (B, H, L, keys), True is seen.

    Returns:
        (B, L, H · head_dim)
    """
    parts = qkv.transpose(1, 2)  # (B, H + 2 · num_kv_heads, L, head_dim)
    sizes = [parts.shape[1] - 2 * num_kv_heads, num_kv_heads, num_kv_heads]
    q, k, v = torch.split(parts, sizes, dim=1)
    q, k = rotate(q, query_rotary or rotary), rotate(k, rotary)
    if cache is not None:
        k, v = cache.update(layer, k, v)
    # The newest token of a cache sees all; a size is no bool to a compiler.
    causal = causal and mask is None and (cache is None or q.shape[2] > 1)
    return scaled_dot_product(q, k, v, mask, causal=causal)


def scaled_dot_product(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, causal: bool = False
) -> Tensor:
    """Attention of queries (B, H, L, head_dim) to keys (B, num_kv_heads, K, head_dim).

    Args:
        mask: broadcastable to (B, H, L, K), True is seen.

    Returns:
        (B, L, H · head_dim)
    """
    dtype, narrow = q.dtype, q.device.type == "cpu" and q.dtype == torch.bfloat16
    if narrow:
        # On a CPU the backward pass of attention costs up to four times as much in
        # bfloat16 as in float32; everything around it gains from the narrow numbers.
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast("cpu", enabled=False) if narrow else nullcontext():
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=causal,
            enable_gqa=k.shape[1] != q.shape[1],
        )  # (B, H, L, head_dim)
    return y.to(dtype).transpose(1, 2).flatten(2)


def normalised(x: Tensor, norm: nn.Module | None) -> Tensor:
    """Queries or keys (…, head_dim) behind their norm, in their own dtype."""
    return x if norm is None else norm(x).to(x.dtype)


class Attention(nn.Module):
    """Self-attention with one fused projection for queries, keys and values.

    Args:
        d_model: width of the stream.
        num_heads: number of query heads; the head dimension is `d_model / num_heads`.
        num_kv_heads: number of key and value heads; fewer than `num_heads` is
            grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245).
        causal: whether a position sees only itself and those before it.
        qk_norm: whether queries and keys of every head are RMS-normalised before they
            are rotated (Henry et al. 2020, arXiv:2010.04245; Dehghani et al. 2023,
            arXiv:2302.05442).
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int,
        *,
        causal: bool,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.causal = num_heads, num_kv_heads, causal
        self.head_dim = d_model // num_heads
        self.query_norm = nn.RMSNorm(self.head_dim, eps=1e-6) if qk_norm else None
        self.key_norm = nn.RMSNorm(self.head_dim, eps=1e-6) if qk_norm else None
        self.qkv = Linear(
            d_model, (num_heads + 2 * num_kv_heads) * self.head_dim, bias=False
        )
        self.out = Linear(d_model, d_model, bias=False)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
        positions: Tensor | None = None,
        query_rotary: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Attend from all positions, or only from some of them.

        Args:
            x: (B, L, d_model).
            mask: broadcastable to (B, H, L, keys), True is seen.
            cache: keys and values of other tokens, which are attended to as well.
            layer: number of this layer in the cache.
            positions: (N,) flat positions, row · L + column, where nothing is causal.
            query_rotary: rotations of the queries, without `positions`; None rotates
                queries like keys.

        Returns:
            (B, L, d_model), with `positions` (N, d_model)
        """
        # In training few rows are without noise almost everywhere: all attend there.
        if positions is not None and not torch.is_grad_enabled():
            return self.out(self._from(positions, x, rotary, mask, cache, layer))
        qkv = self.qkv(x).view(*x.shape[:2], -1, self.head_dim)
        if self.query_norm is not None:
            q, k, v = qkv.split(
                (self.num_heads, self.num_kv_heads, self.num_kv_heads), dim=2
            )
            q, k = normalised(q, self.query_norm), normalised(k, self.key_norm)
            qkv = torch.cat((q, k, v), dim=2)
        y = attend(
            qkv,
            self.num_kv_heads,
            rotary,
            mask,
            cache,
            layer,
            causal=self.causal,
            query_rotary=query_rotary,
        )
        return self.out(select_positions(y, positions))

    def _from(
        self,
        positions: Tensor,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        """What the queries of these positions attend to. (N, H · head_dim)"""
        columns, places = positions_by_row(positions, *x.shape[:2])  # (B, M)
        queries = self.num_heads * self.head_dim
        q = self._heads(product(select_columns(x, columns), self.qkv.weight[:queries]))
        k, v = self._heads(product(x, self.qkv.weight[queries:])).chunk(2, dim=1)
        q, k = normalised(q, self.query_norm), normalised(k, self.key_norm)
        k = rotate(k, rotary)
        if cache is not None:
            k, v = cache.update(layer, k, v)
        cos, sin = (select_columns(part[:, 0], columns)[:, None] for part in rotary)
        if mask is not None and mask.shape[2] > 1:  # every query sees something else
            mask = select_columns(mask[:, 0], columns)[:, None]
        y = scaled_dot_product(rotate(q, (cos, sin)), k, v, mask)
        return select_positions(y, places)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, L, n · head_dim) → (B, n, L, head_dim)"""
        return x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)
