# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The network: a bidirectional Qwen2-shaped decoder.

Shapes: B rows, L positions, N selected positions, D hidden width, V vocabulary.
"""

from torch import Tensor, nn

from xlmgen.runtime.nn import (
    Head,
    Qwen2Attention,
    Qwen2MLP,
    Rotary,
    initialise,
    key_mask,
    previous,
    token_positions,
)

NORM_EPS = 1e-06


class DecoderLayer(nn.Module):
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
        self.input_layernorm = nn.RMSNorm(d_model, eps=NORM_EPS)
        self.self_attn = Qwen2Attention(d_model, num_heads, num_kv_heads, causal=False)
        self.post_attention_layernorm = nn.RMSNorm(d_model, eps=NORM_EPS)
        self.mlp = Qwen2MLP(d_model, ffn)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        """Args: x (B, L, D). Returns: (B, L, D)"""
        y = self.self_attn(self.input_layernorm(x), rotary, mask)
        x = x + self.dropout(y)
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Decoder(nn.Module):
    """All layers except the head; `model.…` in a checkpoint."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        layers: int,
        num_heads: int,
        num_kv_heads: int,
        ffn: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, d_model)
        self.rotary = Rotary(d_model // num_heads, theta=1000000.0)
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, num_heads, num_kv_heads, ffn, dropout)
            for _ in range(layers)
        )
        self.norm = nn.RMSNorm(d_model, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Compute the normalised hidden states after the last layer, (B, L, D)."""
        rotary = self.rotary(token_positions(input_ids, attention_mask))
        mask = key_mask(attention_mask)
        x = self.dropout(self.embed_tokens(input_ids))  # (B, L, D)
        for layer in self.layers:
            x = layer(x, rotary, mask)
        return self.norm(x)


class DreamModel(nn.Module):
    """Bidirectional Qwen2 with its parameter names.

    Args:
        vocab_size: V.
        d_model: width D of the hidden states.
        layers: number of decoder layers.
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
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        num_kv_heads = num_kv_heads or num_heads
        self.model = Decoder(
            vocab_size, d_model, layers, num_heads, num_kv_heads, ffn, dropout
        )
        self.lm_head = Head(d_model, vocab_size, bias=False)
        initialise(self, layers)

    @property
    def head(self) -> nn.Linear:
        """The layer that makes logits of hidden states: `lm_head` in a checkpoint."""
        return self.lm_head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Hidden states; `head` makes them logits of the token at each position.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L) bool, or int document numbers of packed rows: a token
                attends to its own document only. None attends to all tokens.
            positions: (N,) flat positions, row · L + column; None is all of them.

        Returns:
            (B, L, D), or (N, D) with `positions`.
        """
        x = self.model(input_ids, attention_mask)
        return previous(x, positions)
