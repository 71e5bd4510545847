# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The network: a time-conditioned bidirectional transformer.

Shapes: B rows, L positions, N selected positions, D hidden width, V vocabulary.
"""

from torch import Tensor, nn

from xlmgen.runtime.nn import (
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
    """Attention and feed-forward with adaptive layer norm (adaLN)."""

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int,
        ffn: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model, elementwise_affine=False)
        self.attention = Attention(d_model, num_heads, num_kv_heads, causal=False)
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


class SeddUniformModel(nn.Module):
    """Bidirectional transformer, rotary positions, layer norms, GELU; time-conditioned.

    Args:
        vocab_size: V.
        d_model: width D of the hidden states.
        layers: number of transformer blocks.
        num_heads: number of query heads.
        num_kv_heads: number of key and value heads; None means `num_heads`.
        ffn: width of the feed-forward layers; None means the usual multiple of D.
        dropout: dropout probability of every residual branch.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        d_model: int,
        layers: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        ffn: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        num_kv_heads = num_kv_heads or num_heads
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.rotary = Rotary(d_model // num_heads, theta=10000.0)
        self.time = TimeEmbedding(TIME_WIDTH)
        self.blocks = nn.ModuleList(
            Block(d_model, num_heads, num_kv_heads, ffn, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d_model, elementwise_affine=False)
        self.modulation = Modulation(TIME_WIDTH, d_model, parts=2)
        self.head = Head(d_model, vocab_size, bias=False)
        self.dropout = nn.Dropout(dropout)
        initialise(self, layers)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        t: Tensor,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Hidden states; `head` makes them logits of the token at each position.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L) bool, or int document numbers of packed rows: a token
                attends to its own document only. None attends to all tokens.
            t: (B,) time in [0, 1]; 1 is all noise.
            positions: (N,) flat positions, row · L + column; None is all of them.

        Returns:
            (B, L, D), or (N, D) with `positions`.
        """
        rotary = self.rotary(token_positions(input_ids, attention_mask))
        mask = key_mask(attention_mask)
        condition = self.time(t)  # (B, TIME_WIDTH)
        x = self.dropout(self.embedding(input_ids))  # (B, L, D)
        for block in self.blocks:
            x = block(x, rotary, mask, condition)
        x = modulate(self.norm(x), *self.modulation(condition))
        return select_positions(x, positions)
