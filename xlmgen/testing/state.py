"""Exact reference of diffusion with uniform noise, by the definition of its process.

Noised strings are few enough to enumerate. K ordinary tokens are those that can be
generated; q(z | x) = α 1[z = x] + (1 − α) / K.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.runtime.noise import Schedule
from xlmgen.testing.oracle import Oracle, widened
from xlmgen.testing.toy import Toy

UNTIMED = 0.5
"""α that an oracle assumes if the family's network has no time input."""


class StateOracle(Oracle):
    """p(x_i | noised tokens), with or without the token at position i itself.

    Args:
        toy: the distribution.
        vocab_size: V.
        ordinary: ids of the K ordinary tokens.
        schedule: of the noise.
        own: whether p(x_i | z) knows z_i.
        distractors: see `Oracle`.
    """

    def __init__(
        self,
        toy: Toy,
        vocab_size: int,
        ordinary: Sequence[int],
        schedule: Schedule,
        *,
        own: bool = False,
        distractors: tuple[int, ...] = (),
    ) -> None:
        super().__init__(toy, vocab_size, distractors)
        self.size = len(ordinary)
        self.schedule = schedule
        self.own = own

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        t: Tensor | None = None,
    ) -> Tensor:
        self.record(input_ids, t)
        attended = attention_mask
        if attended is None:
            attended = torch.ones(input_ids.shape, dtype=torch.bool)
        # 1. Probability of every noised token, given the clean row.
        width = input_ids.shape[1]
        rows = widened(self.toy.rows, width)  # (S, L)
        answer = widened(self.toy.answer.long(), width) == 1
        alpha = torch.full((len(input_ids),), UNTIMED, dtype=torch.float64)
        if t is not None:
            alpha = self.schedule.alpha(t.double())
        share = alpha[:, None, None]
        same = input_ids[:, None] == rows  # (B, S, L)
        noised = share * same + (1 - share) / self.size
        chances = torch.where(answer, noised, same.double())
        chances = torch.where(attended[:, None], chances, 1.0)

        # 2. Product over all positions, or over all others.
        before = F.pad(chances, (1, 0), value=1.0).cumprod(-1)
        after = F.pad(chances.flip(-1), (1, 0), value=1.0).cumprod(-1).flip(-1)
        others = before[..., :-1] * after[..., 1:]
        joint = others * chances if self.own else others
        fits = attended.sum(1)[:, None] == self.toy.lengths
        weights = joint * (fits * self.toy.probs)[..., None]
        tokens = F.one_hot(rows.clamp(min=0), self.vocab_size).double()
        return self.logits(torch.einsum("bsl,slv->blv", weights, tokens), positions)


def score_entropy(c: Tensor, x: int, z: int, alpha: float) -> float:
    """Σ_{y ≠ z} [ s_y − r_y ln s_y + r_y (ln r_y − 1) ] / (K α), term by term.

    Args:
        c: (K,) float64, the predicted distribution of the clean token.
        x: index of the clean token.
        z: index of the noised token.
        alpha: probability that a token keeps its value.
    """
    size = len(c)
    predicted = alpha * c + (1 - alpha) / size
    true = torch.full_like(c, (1 - alpha) / size)
    true[x] += alpha
    s, r = predicted / predicted[z], true / true[z]
    others = torch.arange(size) != z
    terms = s - r * s.log() + r * (r.log() - 1)
    return float(terms[others].sum()) / (size * alpha)


def with_own_token(cavity: Tensor, z: Tensor, alpha: float) -> Tensor:
    """p(x_i | z) from p(x_i | z without z_i): times q(z_i | x_i), normalised.

    Args:
        cavity: (…, K).
        z: (…) index of the noised token.
    """
    size = cavity.shape[-1]
    seen = alpha * F.one_hot(z, size) + (1 - alpha) / size
    joint = cavity * seen
    return joint / joint.sum(-1, keepdim=True)


def without_own_token(posterior: Tensor, z: Tensor, alpha: float) -> Tensor:
    """The inverse of `with_own_token`."""
    size = posterior.shape[-1]
    seen = alpha * F.one_hot(z, size) + (1 - alpha) / size
    ratio = posterior / seen
    return ratio / ratio.sum(-1, keepdim=True)


def plug_in_bridge(c: Tensor, z: Tensor, alpha_t: float, alpha_s: float) -> Tensor:
    """q(z_s | z_t) with the prediction in place of the clean token. (N, n, K)"""
    size, share = c.shape[-1], alpha_t / alpha_s
    kept = share * F.one_hot(z, size) + (1 - share) / size
    joint = kept * (alpha_s * c + (1 - alpha_s) / size)
    return joint / joint.sum(-1, keepdim=True)


def mixture_of_bridges(d: Tensor, z: Tensor, alpha_t: float, alpha_s: float) -> Tensor:
    """Σ_v d(v) q(z_s | z_t, x = v), the exact bridges averaged. (N, n, K)"""
    size, share = d.shape[-1], alpha_t / alpha_s
    kept = share * F.one_hot(z, size) + (1 - share) / size  # (N, n, K): over z_s
    eye = torch.eye(size, dtype=d.dtype)
    clean = alpha_s * eye + (1 - alpha_s) / size  # (K, K): x = v, z_s
    bridges = kept[..., None, :] * clean  # (N, n, K, K)
    bridges = bridges / bridges.sum(-1, keepdim=True)
    return torch.einsum("...v,...vy->...y", d, bridges)


@dataclass(frozen=True)
class StateSampler:
    """The law of a sampler of uniform diffusion over all strings of K tokens.

    Args:
        predict: strings (N, n) of indices and α → distributions (N, n, K).
        own: whether the distributions know the noised token itself.
        number: n.
        size: K.
        choose: strings and α → distribution (N, n) of the position that the corrector
            redraws.
    """

    predict: Callable[[Tensor, float], Tensor]
    own: bool
    number: int
    size: int
    choose: Callable[[Tensor, float], Tensor] | None = None

    @property
    def strings(self) -> Tensor:
        """(Kⁿ, n), all strings."""
        return torch.tensor(list(product(range(self.size), repeat=self.number)))

    def law(self, alphas: Sequence[float], corrections: int = 0) -> Tensor:
        """(K, …, K): the law after steps between these α, from uniform strings."""
        law = torch.full((self.size,) * self.number, 1.0, dtype=torch.float64)
        law /= law.sum()
        for alpha_t, alpha_s in pairwise(alphas):
            law = self.step(law, alpha_t, alpha_s)
            for _ in range(corrections if alpha_s < 1 else 0):
                law = self.correct(law, alpha_s)
        return law

    def step(self, law: Tensor, alpha_t: float, alpha_s: float) -> Tensor:
        """The law after a step; all positions move independently given the string."""
        strings = self.strings
        bridge = mixture_of_bridges if self.own else plug_in_bridge
        moves = bridge(self.predict(strings, alpha_t), strings, alpha_t, alpha_s)
        letters = string.ascii_lowercase[: self.number]
        terms = ",".join(f"N{letter}" for letter in letters)
        weights = law[tuple(strings.T)]
        return torch.einsum(f"N,{terms}->{letters}", weights, *moves.unbind(1))

    def correct(self, law: Tensor, alpha: float) -> Tensor:
        """The law after one position is redrawn given all others."""
        assert self.choose is not None
        strings, after = self.strings, torch.zeros_like(law)
        c = self.predict(strings, alpha)
        if self.own:
            c = without_own_token(c, strings, alpha)
        drawn = alpha * c + (1 - alpha) / self.size  # (N, n, K)
        chances = law[tuple(strings.T)][:, None] * self.choose(strings, alpha)  # (N, n)
        for position in range(self.number):
            for token in range(self.size):
                there = strings.clone()
                there[:, position] = token
                mass = chances[:, position] * drawn[:, position, token]
                after.index_put_(tuple(there.T), mass, accumulate=True)
        return after


def at_random(strings: Tensor, alpha: float) -> Tensor:
    """Choose every position with the same probability. (N, n)"""
    return torch.full(strings.shape, 1 / strings.shape[1], dtype=torch.float64)
