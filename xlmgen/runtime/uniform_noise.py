"""Uniform noise: tokens that are replaced by draws from K tokens.

The K tokens are those that a predictor may generate: the vocabulary without MASK, BOS
and CLS, and without PAD where padding is ignored. EOS is among them.
"""

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from xlmgen.runtime.sampling import exclude

__all__ = ["denoised", "draw_uniform", "uniform_divergence", "without_own_token"]


def draw_uniform(
    shape: Sequence[int],
    vocab_size: int,
    suppress_tokens: Collection[int],
    generator: torch.Generator | None = None,
    *,
    device: torch.device | None = None,
) -> Tensor:
    """Draw tokens uniformly from all that are not suppressed.

    Args:
        shape: of the result.
        vocab_size: V.
        suppress_tokens: ids that are not drawn.

    Returns:
        int64 in the given shape
    """
    suppressed = sorted(set(suppress_tokens))
    size = vocab_size - len(suppressed)
    tokens = torch.randint(size, tuple(shape), generator=generator, device=device)
    for token in suppressed:  # in ascending order: make room for each
        tokens += tokens >= token
    return tokens


def without_own_token(
    logits: Tensor, tokens: Tensor, noise: float, size: int
) -> Tensor:
    """Convert log p(x_i = v | z) to log p(x_i = v | z without z_i), up to a constant.

    The noised token z_i multiplies the probability of v = z_i by 1 + K α / (1 − α), and
    those of other tokens by 1 (Bayes' rule; arXiv:2605.22765).

    Args:
        logits: (N, V).
        tokens: (N,) int64, the noised tokens z_i.
        noise: 1 − α > 0.
        size: K.

    Returns:
        (N, V)
    """
    evidence = math.log1p(size * (1 - noise) / noise)
    own = torch.full_like(tokens, -evidence, dtype=logits.dtype)
    return logits.scatter_add(-1, tokens[:, None], own[:, None])


def denoised(logits: Tensor, alpha: float, suppress_tokens: Collection[int]) -> Tensor:
    """Log-probabilities of clean tokens from the predicted ones of noisy tokens.

    A noisy token is v with probability m(v) = α c(v) + (1 − α) / K, if the clean one is
    with c(v); so c follows from m. Where the network predicts less than the noise
    alone, c is 0.

    Args:
        logits: (N, V), of m.
        alpha: α, the probability that a token is still its own.
        suppress_tokens: ids that are not among the K.

    Returns:
        (N, V) float64, unnormalised
    """
    size = logits.shape[-1] - len(set(suppress_tokens))
    excess = size * exclude(logits.double(), suppress_tokens).softmax(-1) - 1
    # No logits resolve a share of less than 10⁻¹².
    return (1 + excess / max(alpha, 1e-12)).clamp(min=0).log()


def uniform_divergence(alpha: float, size: int) -> float:
    """KL divergence of a noised token's distribution from the uniform one, in nats.

    Args:
        alpha: probability that the token is still its own.
        size: K.
    """
    rest = (1 - alpha) / size
    own = alpha + rest
    others = (size - 1) * rest * math.log1p(-alpha) if alpha < 1 else 0.0
    return own * math.log1p((size - 1) * alpha) + others
