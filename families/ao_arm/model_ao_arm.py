# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The network: a causal transformer.

Shapes: B rows, L positions, N selected positions, D hidden width, V vocabulary.
"""

from torch import Tensor, nn

from xlmgen.runtime.nn import (
    AbsolutePositions,
    Attention,
    FeedForward,
    Head,
    KeyValueCache,
    Rotary,
    causal_mask,
    initialise,
    select_positions,
    token_positions,
)


class Block(nn.Module):
    """Attention and feed-forward, each after a norm (pre-norm)."""

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int,
        ffn: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model, bias=False)
        self.attention = Attention(d_model, num_heads, num_kv_heads, causal=True)
        self.feedforward_norm = nn.LayerNorm(d_model, bias=False)
        self.feedforward = FeedForward(d_model, ffn, activation="gelu")
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        query_rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        """Args: x (B, L, D). Returns: (B, L, D)"""
        y = self.attention_norm(x)
        y = self.attention(y, rotary, mask, cache, layer, query_rotary=query_rotary)
        x = x + self.dropout(y)
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class AoArmModel(nn.Module):
    """Causal transformer, rotary positions, layer norms, GELU.

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
        self.num_kv_heads, self.head_dim = num_kv_heads, d_model // num_heads
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.rotary = Rotary(d_model // num_heads, theta=10000.0)
        self.next_position = AbsolutePositions(d_model)
        self.blocks = nn.ModuleList(
            Block(d_model, num_heads, num_kv_heads, ffn, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d_model, bias=False)
        self.head = Head(d_model, vocab_size, bias=False)
        self.dropout = nn.Dropout(dropout)
        initialise(self, layers)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        next_position_ids: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Hidden states; `head` makes them logits of the token at the next position.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L) bool, or int document numbers of packed rows: a token
                attends to its own document only. (B, cached + L) with a cache. None
                attends to all tokens.
            positions: (N,) flat positions, row · L + column; None is all of them.
            position_ids: (B, L) position of each token in its sequence; None takes the
                order of `input_ids`.
            next_position_ids: (B, L) position of the token to predict; None with
                `position_ids`.
            cache: keys and values of earlier tokens; those of `input_ids` are appended.

        Returns:
            (B, L, D), or (N, D) with `positions`.
        """
        past = 0 if cache is None else cache.length
        if position_ids is None or next_position_ids is None:
            position_ids = token_positions(input_ids, attention_mask, past)
            next_position_ids = position_ids + 1
        rotary = self.rotary(position_ids)
        query_rotary = self.rotary(next_position_ids)
        mask = causal_mask(input_ids, attention_mask, past)
        x = self.embedding(input_ids)  # (B, L, D)
        x = x + self.next_position(next_position_ids - position_ids)
        x = self.dropout(x)
        for layer, block in enumerate(self.blocks):
            x = block(x, rotary, query_rotary, mask, cache, layer)
        if cache is not None:
            cache.advance(input_ids.shape[1])
        return self.norm(select_positions(x, positions))

    def new_cache(self, batch_size: int, max_length: int) -> KeyValueCache:
        """Create an empty cache of `batch_size` rows of up to `max_length` tokens."""
        weight = self.embedding.weight
        return KeyValueCache(
            len(self.blocks),
            batch_size,
            self.num_kv_heads,
            max_length,
            self.head_dim,
            device=weight.device,
            dtype=weight.dtype,
        )
