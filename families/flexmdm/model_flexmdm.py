# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The network: a bidirectional transformer that is told the time.

Shapes: B rows, L positions, N chosen positions, D width of the stream, V vocabulary.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.runtime.nn import (
    AbsolutePositions,
    Attention,
    FeedForward,
    Head,
    Modulation,
    Rotary,
    TimeEmbedding,
    initialise,
    key_mask,
    modulate,
    select_positions,
    token_positions,
)

TIME_WIDTH = 128


class Block(nn.Module):
    """Attention and feed-forward, both modulated by time (adaLN)."""

    def __init__(
        self, d_model: int, heads: int, kv_heads: int, ffn: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model, elementwise_affine=False)
        self.attention = Attention(d_model, heads, kv_heads, causal=False)
        self.feedforward_norm = nn.LayerNorm(d_model, elementwise_affine=False)
        self.feedforward = FeedForward(d_model, ffn, activation="gelu")
        self.modulation = Modulation(TIME_WIDTH, d_model, parts=6)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        condition: Tensor,
    ) -> Tensor:
        """Args: x (B, L, D). Returns: (B, L, D)"""
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = self.modulation(condition)
        y = modulate(self.attention_norm(x), shift, scale)
        x = x + gate * self.dropout(self.attention(y, rotary, mask))
        y = modulate(self.feedforward_norm(x), ffn_shift, ffn_scale)
        return x + ffn_gate * self.dropout(self.feedforward(y))


class FlexmdmModel(nn.Module):
    """Bidirectional transformer, rotary and absolute positions, layer norms, GELU;
    time-conditioned.

    Args:
        vocab_size: V.
        d_model: width of the stream.
        layers: number of blocks.
        heads: number of query heads.
        kv_heads: number of key and value heads; None is as many as `heads`.
        ffn: width of the feed-forward layers; None is the usual multiple of `d_model`.
        dropout: share of every residual branch that is dropped in training.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        d_model: int,
        layers: int,
        heads: int,
        kv_heads: int | None = None,
        ffn: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        kv_heads = kv_heads or heads
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.rotary = Rotary(d_model // heads, theta=10000.0)
        self.absolute = AbsolutePositions(d_model)
        self.time = TimeEmbedding(TIME_WIDTH)
        self.blocks = nn.ModuleList(
            Block(d_model, heads, kv_heads, ffn, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d_model, elementwise_affine=False)
        self.modulation = Modulation(TIME_WIDTH, d_model, parts=2)
        self.head = Head(d_model, vocab_size, bias=False)
        self.gap = Head(d_model, 1)
        self.dropout = nn.Dropout(dropout)
        initialise(self, layers)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        t: Tensor,
        at: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Hidden states; `head` makes them logits of the token at each position.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L) bool, or int, the document of each token, which sees
                no other; None attends all.
            t: (B,) in [0, 1]; 0 is nothing, 1 is the data.
            at: (N,) flat positions, row · L + column; None is all of them.

        Returns:
            (B, L, D), or (N, D) with `at`;
            and (B, L), the tokens expected to be missing behind each one.
        """
        positions = token_positions(input_ids, attention_mask)
        rotary = self.rotary(positions)
        mask = key_mask(attention_mask)
        condition = self.time(t)  # (B, TIME_WIDTH)
        x = self.embedding(input_ids) + self.absolute(positions)  # (B, L, D)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, rotary, mask, condition)
        x = modulate(self.norm(x), *self.modulation(condition))
        gap = F.softplus(self.gap(x).squeeze(-1).float())
        return select_positions(x, at), gap
