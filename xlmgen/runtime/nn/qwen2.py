"""The layers of Qwen2 (arXiv:2407.10671), named as its released checkpoints name them.

Unlike `Attention` and `SwiGLU` nothing is fused: every matrix is one of the checkpoint.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.runtime.nn.attention import attend
from xlmgen.runtime.nn.cache import KeyValueCache
from xlmgen.runtime.nn.feedforward import gated_width
from xlmgen.runtime.nn.linear import Linear


class Qwen2Attention(nn.Module):
    """Grouped-query self-attention with a bias on queries, keys and values.

    Args:
        d_model: width of the stream.
        num_heads: number of query heads; the head dimension is `d_model / num_heads`.
        num_kv_heads: number of key and value heads.
        causal: whether a position sees only itself and those before it.
    """

    def __init__(
        self, d_model: int, num_heads: int, num_kv_heads: int, *, causal: bool
    ) -> None:
        super().__init__()
        self.num_kv_heads, self.causal = num_kv_heads, causal
        self.head_dim = d_model // num_heads
        self.q_proj = Linear(d_model, d_model)
        self.k_proj = Linear(d_model, num_kv_heads * self.head_dim)
        self.v_proj = Linear(d_model, num_kv_heads * self.head_dim)
        self.o_proj = Linear(d_model, d_model, bias=False)

    @property
    def out(self) -> nn.Linear:
        """The projection that ends the residual branch."""
        return self.o_proj

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Args: x (B, L, d_model); mask broadcastable to (B, H, L, keys), True is seen.

        Returns: (B, L, d_model)
        """
        projections = (self.q_proj, self.k_proj, self.v_proj)
        qkv = torch.cat([project(x) for project in projections], dim=-1)
        qkv = qkv.view(*x.shape[:2], -1, self.head_dim)
        y = attend(
            qkv, self.num_kv_heads, rotary, mask, cache, layer, causal=self.causal
        )
        return self.o_proj(y)


class Qwen2MLP(nn.Module):
    """Gated feed-forward (Shazeer 2020, arXiv:2002.05202), gate and value apart.

    Args:
        hidden: width in the middle; None is `gated_width`.
    """

    def __init__(self, d_model: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or gated_width(d_model)
        self.gate_proj = Linear(d_model, hidden, bias=False)
        self.up_proj = Linear(d_model, hidden, bias=False)
        self.down_proj = Linear(hidden, d_model, bias=False)

    @property
    def out(self) -> nn.Linear:
        """The projection that ends the residual branch."""
        return self.down_proj

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
