"""Divergence of what a sampler generates from the model that its network is.

A sampler reveals, in pass k, a set of positions S given the visible tokens z, and draws
their tokens independently: ∏ q(x_i | z) over S. The reference sampler chooses positions
alike, and draws the tokens of S jointly, from p(x_S | z). The choices cancel, so for a
path (the states that were passed through) the log-ratio of the two is

    log r = Σ over passes of [ Σ over S of log q(x_i | z) − log p(x_S | z) ].

Without remasking log p(x_S | z) telescopes: log r = Σ_i log q(x_i | z_k) − log p(x),
with z_k the state in which i was revealed. Its mean over generated paths is
KL(sampler ‖ reference) between distributions of paths, of which the sample is the end.

The ends of the reference follow p, the model itself, if

* no token is masked again, and positions are chosen by the visible tokens, the
  distributions at the masked ones, and noise: before their tokens are drawn. This holds
  for random and confidence orders, thresholds and bounds on entropies; or
* tokens are masked again, and positions are chosen independently of all tokens.

Then the mean is an upper bound on KL(samples ‖ model) (data processing), in the first
case without confidence equal to the mean, over orders, of the KL for each order. It is
0 if and only if the sampler is exact. If positions are chosen by the tokens drawn, as
path planning and remasking by confidence do, the ends of the reference follow another
distribution and the mean says nothing: compare the frequencies of pairs.

The oracle is that of Tang et al. 2026 (arXiv:2602.19619), who compare transitions; the
error of revealing S at once is its conditional total correlation (Ben-Hamu et al. 2025,
arXiv:2505.24857).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from xlmgen.runtime.generation import Trace
from xlmgen.runtime.sampling import TokenSampler
from xlmgen.testing.markov import UNKNOWN, HiddenMarkov


@dataclass(frozen=True)
class Estimate:
    """A mean over independent rows, and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Tensor) -> Estimate:
        """Estimate the expectation of independent values (B,)."""
        return cls(float(values.mean()), float(values.std()) / math.sqrt(len(values)))


def model_trace(trace: Trace, *, first: int, mask: int, context: int = 0) -> Trace:
    """Convert a predictor's trace to tokens and positions of the model.

    Args:
        first: id of the model's token 0.
        mask: id of MASK; written by remasking, here `UNKNOWN`.
        context: columns before the first position of the model.
    """
    token = torch.where(trace.token == mask, UNKNOWN, trace.token - first)
    return Trace(trace.step, trace.row, trace.position - context, token)


def path_log_ratio(
    model: HiddenMarkov, ids: Tensor, trace: Trace, sampler: TokenSampler
) -> Tensor:
    """Compute log(sampler / reference) of the path of every row, in nats.

    Args:
        model: the distribution that the network returned the conditionals of.
        ids: (B, L) tokens at the start, `UNKNOWN` at positions to fill.
        trace: what was written, from `model_trace`.
        sampler: how tokens are drawn from the conditionals: temperature, `top_k` and
            `top_p`. Its `suppress_tokens` must be empty.

    Returns:
        (B,) float64
    """
    state = ids.clone()
    ratio = torch.zeros(len(ids), dtype=torch.float64)
    for step in sorted(set(trace.step.tolist())):
        now = trace.step == step
        row, position, token = trace.row[now], trace.position[now], trace.token[now]

        # 1. Tokens that were drawn, given the state before the step.
        drawn = token != UNKNOWN
        rows = row[drawn].bincount().nonzero()[:, 0]
        given = state[rows]
        if len(rows):
            index = torch.searchsorted(rows, row[drawn])
            flat = index * ids.shape[1] + position[drawn]
            probs = model.conditionals_at(given, flat)  # (N, K)
            log_q = log_drawn(sampler, probs).gather(1, token[drawn, None])[:, 0]
            ratio.index_add_(0, row[drawn], log_q)
            state[row[drawn], position[drawn]] = token[drawn]
            ratio[rows] -= model.log_prob(state[rows]) - model.log_prob(given)

        # 2. Tokens that were masked again.
        state[row[~drawn], position[~drawn]] = UNKNOWN
    return ratio


def log_drawn(sampler: TokenSampler, probs: Tensor) -> Tensor:
    """Log-probabilities with which a sampler draws from distributions (N, K).

    At temperature 0 the token that is taken has probability 1.
    """
    if sampler.temperature == 0:
        best = probs.argmax(-1, keepdim=True)
        return torch.full_like(probs, -torch.inf).scatter_(-1, best, 0.0)
    return sampler.shape(probs.log()).log_softmax(-1)


def pair_variation(model: HiddenMarkov, ids: Tensor) -> Estimate:
    """Total variation between frequencies of neighbouring tokens and their expectation.

    Frequencies are over all rows and positions. Their noise makes it greater than 0 for
    exact samples, too: compare it with that of `model.sample`.

    Args:
        ids: (B, L) generated tokens.

    Returns:
        the distance, and the standard error of its linearisation.
    """
    tokens = model.emission.shape[1]
    cells = ids[:, :-1] * tokens + ids[:, 1:]  # (B, L − 1)
    frequencies = cells.flatten().bincount(minlength=tokens**2) / cells.numel()
    difference = frequencies.double() - model.pairs.flatten()
    influence = difference.sign()[cells].mean(1) / 2  # (B,)
    return Estimate(float(difference.abs().sum() / 2), Estimate.of(influence).error)
