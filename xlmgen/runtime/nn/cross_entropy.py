"""Cross-entropy of a linear output layer without all of its logits in memory.

The logits of a large vocabulary are most of a small network's memory: PyTorch's loss
keeps them, their log-softmax and their gradient. Here they are computed for a chunk of
rows at a time, and become the gradients of hidden states and weight before the next
chunk takes their place (Hsu et al. 2024, Liger Kernel, arXiv:2410.10989, section 3.2;
Wijmans et al. 2024, Cut Your Losses, arXiv:2411.09009).

`torch.nn.functional.linear_cross_entropy` of PyTorch 2.13 does the same for one mean
over all rows. It cannot weigh rows: with `reduction="none"` it computes all logits
twice.

They are operators of their own, so that `torch.compile` calls them as they are. Nothing
in them waits for a device.

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


def linear_cross_entropy(
    hidden: Tensor,
    head: nn.Linear,
    targets: Tensor,
    *,
    row_weight: Tensor | None = None,
    suppress_tokens: Ids = (),
) -> Tensor:
    """Cross-entropy −log softmax(head(hidden))[target] of every row, times its weight.

    The gradients are computed in the forward pass, while the logits are there. That
    takes the weight of every row at once (`row_weight`); a factor that all rows share
    may come later. So add the rows up before anything else is done to them: where the
    gradient differs from row to row, the logits are computed a second time.

    Under autocast the logits have its precision, as those of `nn.Linear` do. float16 is
    computed in float32, since its range is too small for gradients of unscaled losses.

    Args:
        hidden: (…, D) floating point; only the rows that have a target.
        head: from D to V.
        targets: (…,) int64 in [0, V).
        row_weight: (…,), of which no gradient is taken; None is 1.
        suppress_tokens: ids without probability.

    Returns:
        (…,) in nats, float64 if `hidden` is, else float32; ∞ for a suppressed target
    """
    x = product_input(hidden).flatten(0, -2)
    learns = _learns(x, head.weight, head.bias)
    rows = None if row_weight is None else row_weight.detach().flatten()
    given = (x, head.weight, head.bias, targets.flatten(), rows)
    loss, *_ = _cross_entropy(*given, list(suppress_tokens), learns)
    return loss.view(targets.shape)


def linear_logsumexp(
    hidden: Tensor, head: nn.Linear, *, suppress_tokens: Ids = ()
) -> Tensor:
    """log Σ exp(head(hidden)) of every row; the backward pass computes logits again.

    Args:
        hidden: (…, D) floating point.
        head: from D to V.
        suppress_tokens: ids without probability.

    Returns:
        (…,), float64 if `hidden` is, else float32; −∞ for a row without any probability
    """
    x = product_input(hidden).flatten(0, -2)
    sums = _logsumexp(x, head.weight, head.bias, list(suppress_tokens))
    return sums.view(hidden.shape[:-1])


def linear_scores(
    hidden: Tensor, head: nn.Linear, tokens: Tensor, *, suppress_tokens: Ids = ()
) -> Tensor:
    """head(hidden)[token] of every row: one logit of it, rounded as all of them are.

    Args:
        hidden: (N, D) floating point.
        head: from D to V.
        tokens: (N,) int64.
        suppress_tokens: ids without probability: their score is −∞.

    Returns:
        (N,), float64 if `hidden` is, else float32
    """
    x = product_input(hidden)
    wide = wide_dtype(x.dtype)
    scores = (x.to(wide) * head.weight[tokens].to(x.dtype)).sum(-1)
    if head.bias is not None:
        scores = scores + head.bias[tokens]
    scores = scores.to(x.dtype).to(wide)
    for token in suppress_tokens:
        scores = scores.masked_fill(tokens == token, -torch.inf)
    return scores


def linear_total(
    hidden: Tensor, head: nn.Linear, *, suppress_tokens: Ids = ()
) -> Tensor:
    """Sum of head(hidden) over all tokens of every row.

    Args:
        hidden: (N, D) floating point.
        head: from D to V.
        suppress_tokens: ids that are left out.

    Returns:
        (N,), float64 if `hidden` is, else float32
    """
    x = product_input(hidden)
    wide = wide_dtype(x.dtype)
    counted = torch.ones(len(head.weight), dtype=wide, device=x.device)
    for token in suppress_tokens:
        counted[token] = 0
    total = x.to(wide) @ (counted @ head.weight.to(x.dtype).to(wide))
    return total if head.bias is None else total + counted @ head.bias.to(wide)


def _learns(*tensors: Tensor | None) -> bool:
    """Whether a gradient of one of them is kept."""
    wanted = any(t is not None and t.requires_grad for t in tensors)
    return wanted and torch.is_grad_enabled()


@torch.library.custom_op("xlmgen::linear_cross_entropy", mutates_args=())
def _cross_entropy(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    row_weight: Tensor | None,
    suppress_tokens: Sequence[int],
    learns: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The losses (N,), and the gradients of their sum; those are empty unless asked."""
    if not learns:
        loss = _evaluate(x, weight, bias, targets, suppress_tokens)
        loss = loss if row_weight is None else loss * row_weight
        return loss, x.new_empty(0), x.new_empty(0), x.new_empty(0)
    if row_weight is None:
        row_weight = torch.ones((), device=x.device)
    scale = row_weight.to(wide_dtype(x.dtype)).expand(len(x))
    given = (x, weight, bias, targets, scale, suppress_tokens)
    loss, of_x, of_weight, of_bias = _differentiate(*given)
    return loss * scale, of_x, of_weight, of_bias


@torch.library.custom_op("xlmgen::linear_cross_entropy_gradients", mutates_args=())
def _gradients(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor | None,
    row_weight: Tensor,
    suppress_tokens: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of Σ row_weight · loss; without targets, of log Σ exp."""
    given = (x, weight, bias, targets, row_weight, suppress_tokens)
    _, of_x, of_weight, of_bias = _differentiate(*given)
    return of_x, of_weight, of_bias


@torch.library.custom_op("xlmgen::linear_logsumexp", mutates_args=())
def _logsumexp(
    x: Tensor, weight: Tensor, bias: Tensor | None, suppress_tokens: Sequence[int]
) -> Tensor:
    return _evaluate(x, weight, bias, None, suppress_tokens)


def _differentiate(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor | None,
    row_weight: Tensor,
    suppress_tokens: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unweighted losses (N,), and gradients of their sum, each row times its weight."""
    loss = torch.empty_like(row_weight, memory_format=torch.contiguous_format)
    of_x, of_weight, of_bias = gradients_like(x, weight, bias)
    of_weight.zero_()
    of_bias.zero_()
    narrow = weight.to(x.dtype)
    with products(x, narrow):
        for rows, logits in logit_chunks(x, narrow, bias):
            for here, part in cached_rows(rows, logits):
                target = None if targets is None else targets[here]
                loss[here] = _to_gradient(
                    part, target, row_weight[here], suppress_tokens
                )
            gradient = logits  # now
            torch.mm(gradient, narrow, out=of_x[rows])
            if of_weight.dtype == x.dtype:
                of_weight.addmm_(gradient.T, x[rows])
            else:
                of_weight += gradient.T @ x[rows]
            if bias is not None:
                of_bias += gradient.sum(0, dtype=of_bias.dtype)
    return loss, of_x, of_weight, of_bias


def _to_gradient(
    logits: Tensor,
    targets: Tensor | None,
    row_weight: Tensor,
    suppress_tokens: Sequence[int],
) -> Tensor:
    """Overwrite logits (n, V) by their gradient and return the losses (n,)."""
    wide = logits.to(row_weight.dtype)
    for token in suppress_tokens:
        wide[:, token] = -torch.inf
    scale = row_weight[:, None]
    top = wide.amax(-1, keepdim=True)
    share = wide.softmax(-1)
    # The largest share is never so small that its logarithm would suffer.
    log_top = share.amax(-1, keepdim=True).log()
    if targets is None:
        torch.mul(share, scale, out=logits)
        return (top - log_top)[:, 0]
    loss = top - wide.gather(1, targets[:, None]) - log_top
    torch.mul(share, scale, out=logits)
    # A share near 1, less 1, would be lost where numbers are narrow.
    at_target = (torch.expm1(-loss) * scale).to(logits.dtype)
    logits.scatter_(1, targets[:, None], at_target)
    for token in suppress_tokens:
        logits[:, token] = 0
    return loss[:, 0]


def _evaluate(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor | None,
    suppress_tokens: Sequence[int],
) -> Tensor:
    """Losses (N,), or without targets log Σ exp of every row."""
    found = x.new_empty(len(x), dtype=wide_dtype(x.dtype))
    narrow = weight.to(x.dtype)
    with products(x, narrow):
        for rows, logits in logit_chunks(x, narrow, bias):
            for here, part in cached_rows(rows, logits):
                wide = part.to(found.dtype)
                for token in suppress_tokens:
                    wide[:, token] = -torch.inf
                top = wide.amax(-1)
                # log-softmax is twice as fast as logsumexp on a CPU.
                log_top = wide.log_softmax(-1).amax(-1)
                if targets is None:
                    found[here] = torch.where(top.isneginf(), top, top - log_top)
                else:
                    score = wide.gather(1, targets[here, None])[:, 0]
                    found[here] = top - score - log_top
    return found


# What a compiler needs to know. `len` would fix the number of rows there.


@_cross_entropy.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    row_weight: Tensor | None,
    suppress_tokens: Sequence[int],
    learns: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    loss = x.new_empty(x.shape[0], dtype=wide_dtype(x.dtype))
    if not learns:
        return loss, x.new_empty(0), x.new_empty(0), x.new_empty(0)
    return loss, *gradients_like(x, weight, bias)


@_gradients.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor | None,
    row_weight: Tensor,
    suppress_tokens: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    return gradients_like(x, weight, bias)


@_logsumexp.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, suppress_tokens: Sequence[int]
) -> Tensor:
    return x.new_empty(x.shape[0], dtype=wide_dtype(x.dtype))


def _keep_cross_entropy(ctx: Any, inputs: Any, output: Any) -> None:
    x, weight, bias, targets, row_weight, ctx.suppress_tokens, _ = inputs
    _, *gradients = output
    ctx.save_for_backward(x, weight, bias, targets, row_weight, *gradients)
    ctx.set_materialize_grads(False)


def _cross_entropy_backward(ctx: Any, of_loss: Tensor | None, *_: Any) -> Any:
    nothing = (None,) * 7
    if of_loss is None:
        return nothing
    x, weight, bias, targets, row_weight, *gradients = ctx.saved_tensors
    if of_loss.shape[0] > 0 and of_loss.stride() == (0,):  # one number: a sum's
        of_x, of_weight, of_bias = (of_loss[0] * part for part in gradients)
    else:
        if row_weight is not None:
            of_loss = of_loss * row_weight
        wide = of_loss.to(wide_dtype(x.dtype))
        of_x, of_weight, of_bias = _gradients(
            x, weight, bias, targets, wide, ctx.suppress_tokens
        )
    return of_x, *of_parameters(weight, of_weight, bias, of_bias), *nothing[3:]


def _keep_logsumexp(ctx: Any, inputs: Any, output: Any) -> None:
    x, weight, bias, ctx.suppress_tokens = inputs
    ctx.save_for_backward(x, weight, bias)


def _logsumexp_backward(ctx: Any, of_sums: Tensor) -> Any:
    x, weight, bias = ctx.saved_tensors
    of_x, of_weight, of_bias = _gradients(
        x, weight, bias, None, of_sums, ctx.suppress_tokens
    )
    return of_x, *of_parameters(weight, of_weight, bias, of_bias), None


_cross_entropy.register_autograd(
    _cross_entropy_backward, setup_context=_keep_cross_entropy
)
_logsumexp.register_autograd(_logsumexp_backward, setup_context=_keep_logsumexp)


# What a counter of floating-point operations sees: products of (N, D), (D, V), (V, N).


@register_flop_formula(torch.ops.xlmgen.linear_cross_entropy)
def _(x: Any, weight: Any, *inputs: Any, **_: Any) -> int:
    return (3 if inputs[-1] else 1) * 2 * x[0] * weight[0] * weight[1]


@register_flop_formula(torch.ops.xlmgen.linear_cross_entropy_gradients)
def _(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 3 * 2 * x[0] * weight[0] * weight[1]


@register_flop_formula(torch.ops.xlmgen.linear_logsumexp)
def _(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 2 * x[0] * weight[0] * weight[1]
