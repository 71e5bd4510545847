"""Logarithms of predicted distributions that are mixed with the uniform one.

A token that keeps its value with probability α, and else is drawn uniformly from K
tokens, has the distribution q = α p + (1 − α) / K. The bound of uniform diffusion needs
log(K q) of single tokens and its sum over all K. The logits are computed for a chunk of
rows at a time, and again in the backward pass.

Shapes: N rows, D width of the hidden states, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from xlmgen.runtime.nn.chunks import (
    Ids,
    cached_rows,
    gradients_like,
    logit_chunks,
    of_parameters,
    product_input,
    products,
    wide_dtype,
)
from xlmgen.runtime.nn.cross_entropy import linear_scores


def linear_mixture(
    hidden: Tensor,
    head: nn.Linear,
    tokens: Tensor,
    alpha: Tensor,
    noise: Tensor,
    *,
    suppress_tokens: Ids = (),
) -> tuple[Tensor, Tensor]:
    """log p of some tokens, and the sum of log(K α p + 1 − α) over all K tokens.

    p = softmax(head(hidden)), and K is the number of tokens that are not suppressed.
    The sum is precise for α near 0, where all its logarithms are small, and near 1.

    Args:
        hidden: (N, D) floating point.
        head: from D to V.
        tokens: (M, N) int64, M tokens of every row.
        alpha: (N,), of which no gradient is taken.
        noise: (N,), 1 − α.
        suppress_tokens: ids without probability.

    Returns:
        (M, N) and (N,), float64 if `hidden` is, else float32
    """
    x, suppressed = product_input(hidden), list(dict.fromkeys(suppress_tokens))
    alpha, noise = (part.detach().to(wide_dtype(x.dtype)) for part in (alpha, noise))
    log_sums, totals = _mixture(x, head.weight, head.bias, alpha, noise, suppressed)
    scores = [linear_scores(hidden, head, each) for each in tokens]
    return torch.stack(scores) - log_sums, totals


def _mixed_log(p: Tensor, alpha: Tensor, noise: Tensor, size: int) -> Tensor:
    """log(K α p + 1 − α), where K is `size`."""
    near_uniform = torch.log1p(alpha * (size * p - 1))
    return torch.where(alpha < 0.5, near_uniform, (size * alpha * p + noise).log())


@torch.library.custom_op("xlmgen::linear_mixture", mutates_args=())
def _mixture(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    alpha: Tensor,
    noise: Tensor,
    suppress_tokens: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """log Σ exp of every row (N,), and Σ log(K α p + 1 − α) (N,)."""
    size = len(weight) - len(suppress_tokens)
    log_sums, totals = torch.empty_like(alpha), torch.empty_like(alpha)
    narrow = weight.to(x.dtype)
    with products(x, narrow):
        for rows, logits in logit_chunks(x, narrow, bias):
            for here, part in cached_rows(rows, logits):
                wide = _suppressed(part.to(alpha.dtype), suppress_tokens)
                log_probs = wide.log_softmax(-1)
                log_sums[here] = wide.amax(-1) - log_probs.amax(-1)
                share, rest = alpha[here, None], noise[here, None]
                logs = _mixed_log(log_probs.exp_(), share, rest, size)
                for token in suppress_tokens:
                    logs[:, token] = 0
                totals[here] = logs.sum(-1)
    return log_sums, totals


@torch.library.custom_op("xlmgen::linear_mixture_gradients", mutates_args=())
def _gradients(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    alpha: Tensor,
    noise: Tensor,
    suppress_tokens: Sequence[int],
    of_log_sums: Tensor,
    of_totals: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of hidden states, weight and bias."""
    size = len(weight) - len(suppress_tokens)
    of_x, of_weight, of_bias = gradients_like(x, weight, bias)
    of_weight.zero_()
    of_bias.zero_()
    narrow = weight.to(x.dtype)
    with products(x, narrow):
        for rows, logits in logit_chunks(x, narrow, bias):
            for here, part in cached_rows(rows, logits):
                wide = _suppressed(part.to(alpha.dtype), suppress_tokens)
                p = wide.softmax(-1)
                share, rest = alpha[here, None], noise[here, None]
                # The slope K α / (K α p + 1 − α) less the constant K α, which does not
                # count as Σ p = 1: so no digits are lost for α near 0.
                slope = share * (size * p - 1) / (size * share * p + rest)
                slope *= -size * share
                slope -= (p * slope).sum(-1, keepdim=True)
                slope = slope * of_totals[here, None] + of_log_sums[here, None]
                torch.mul(p, slope, out=part)
            gradient = logits  # now
            torch.mm(gradient, narrow, out=of_x[rows])
            of_weight += gradient.T @ x[rows]
            if bias is not None:
                of_bias += gradient.sum(0, dtype=of_bias.dtype)
    return of_x, of_weight, of_bias


def _suppressed(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    for token in tokens:
        logits[:, token] = -torch.inf
    return logits


# What a compiler needs to know.


@_mixture.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    alpha: Tensor,
    noise: Tensor,
    suppress_tokens: Sequence[int],
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(alpha), torch.empty_like(alpha)


@_gradients.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    alpha: Tensor,
    noise: Tensor,
    suppress_tokens: Sequence[int],
    of_log_sums: Tensor,
    of_totals: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return gradients_like(x, weight, bias)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    *tensors, ctx.suppress_tokens = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, of_log_sums: Tensor, of_totals: Tensor) -> Any:
    x, weight, bias, alpha, noise = ctx.saved_tensors
    given = (x, weight, bias, alpha, noise, ctx.suppress_tokens)
    of_x, of_weight, of_bias = _gradients(*given, of_log_sums, of_totals)
    return of_x, *of_parameters(weight, of_weight, bias, of_bias), None, None, None


_mixture.register_autograd(_backward, setup_context=_keep)


# What a counter of floating-point operations sees: products of (N, D), (D, V), (V, N).


@register_flop_formula(torch.ops.xlmgen.linear_mixture)
def _(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 2 * x[0] * weight[0] * weight[1]


@register_flop_formula(torch.ops.xlmgen.linear_mixture_gradients)
def _(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 3 * 2 * x[0] * weight[0] * weight[1]
