# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The network: a bidirectional Qwen2-shaped decoder.

Shapes: B rows, L positions, N chosen positions, D width of the stream, V vocabulary.
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
    """Attention and feed-forward, each behind a norm."""

    def __init__(
        self, d_model: int, heads: int, kv_heads: int, ffn: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(d_model, eps=NORM_EPS)
        self.self_attn = Qwen2Attention(d_model, heads, kv_heads, causal=False)
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
    """Everything but the head: `model.…` in a checkpoint."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        layers: int,
        heads: int,
        kv_heads: int,
        ffn: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, d_model)
        self.rotary = Rotary(d_model // heads, theta=1000000.0)
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, heads, kv_heads, ffn, dropout) for _ in range(layers)
        )
        self.norm = nn.RMSNorm(d_model, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """The normalised stream behind the last layer, (B, L, D)."""
        rotary = self.rotary(token_positions(input_ids, attention_mask))
        mask = key_mask(attention_mask)
        x = self.dropout(self.embed_tokens(input_ids))  # (B, L, D)
        for layer in self.layers:
            x = layer(x, rotary, mask)
        return self.norm(x)


class DreamModel(nn.Module):
    """Qwen2, bidirectional, with the names of its checkpoints.

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
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kv_heads = kv_heads or heads
        self.model = Decoder(vocab_size, d_model, layers, heads, kv_heads, ffn, dropout)
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
        at: Tensor | None = None,
    ) -> Tensor:
        """Hidden states; `head` makes them logits of the token at each position.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L) bool, or int, the document of each token, which sees
                no other; None attends all.
            at: (N,) flat positions, row · L + column; None is all of them.

        Returns:
            (B, L, D), or (N, D) with `at`.
        """
        x = self.model(input_ids, attention_mask)
        return previous(x, at)
