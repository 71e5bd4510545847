"""Exact reference of diffusion with random tokens, by the definition of its process.

Noised strings are few enough to enumerate. A token is its own with probability α(t),
and else drawn from noise: q(z | x) = α 1[z = x] + b(z), where b is (1 − α) / K for each
of the K tokens that can be generated or, with hybrid noise, also positive for MASK.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.testing.oracle import (
    DISTRACTING,
    IMPOSSIBLE,
    FixedLogits,
    Oracle,
    widened,
)
from xlmgen.testing.toy import Toy

UNTIMED = 0.5
"""Time that an oracle assumes if the family's network has no time input."""

CHUNK = 4096
"""Rows of a batch of which an oracle computes the conditionals at once."""

Level = tuple[float, Tensor]
"""α, and the probability (S,) that a token is drawn as each of the S symbols."""


@dataclass(frozen=True)
class StateNoise:
    """Noise of a family over time.

    Args:
        schedule: of the family.
        ordinary: ids of the K tokens that can be generated.
        vocab_size: V.
        mask: id of MASK if the noise is hybrid, else None.
    """

    schedule: Any
    ordinary: Sequence[int]
    vocab_size: int
    mask: int | None = None

    @property
    def symbols(self) -> list[int]:
        """Ids that a noised token may have."""
        return [*self.ordinary, *([] if self.mask is None else [self.mask])]

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """α (…) and the probabilities (…, V) of noise, in float64."""
        t = t.double()
        alpha = self.schedule.alpha(t)
        drawn = torch.zeros(*t.shape, self.vocab_size, dtype=torch.float64)
        if self.mask is None:
            noise = self.schedule.noise(t)  # 1 − α would round to 0
            drawn[..., list(self.ordinary)] = (noise / len(self.ordinary))[..., None]
            return alpha, drawn
        share = self.schedule.uniform_share
        c = 2 * share / (1 - share) * (t * (1 - t)).sqrt()
        drawn[..., list(self.ordinary)] = (c / (1 + c) / len(self.ordinary))[..., None]
        drawn[..., self.mask] = t / (1 + c)
        return (1 - t) / (1 + c), drawn

    def rate(self, t: Tensor) -> Tensor:
        """Rates (…, V) at which any other symbol turns into each, in float64.

        b′ − (α′/α) b, by differentiating: the noise that a moment adds.
        """
        t = t.detach().double().requires_grad_()
        with torch.enable_grad():
            alpha, drawn = self(t)
            of_alpha, *of_drawn = (
                torch.autograd.grad(each.sum(), t, retain_graph=True)[0]
                for each in (alpha, *drawn.unbind(-1))
            )
        rate = torch.stack(of_drawn, -1) - (of_alpha / alpha)[..., None] * drawn
        return rate.detach()

    def level(self, t: float) -> Level:
        """The level at a time, over the symbols; without noise at t = 0."""
        alpha, drawn = self(torch.tensor(t, dtype=torch.float64))
        if t == 0:
            alpha, drawn = torch.ones_like(alpha), torch.zeros_like(drawn)
        return float(alpha), drawn[self.symbols]


class StateOracle(Oracle):
    """p(x_i | noised tokens), with or without the token at position i itself.

    Args:
        toy: the distribution.
        noise: of the family.
        own: whether p(x_i | z) knows z_i.
        ratios: give the logarithms of ratios, not of the distribution.
        distractors: see `Oracle`.
    """

    def __init__(
        self,
        toy: Toy,
        noise: StateNoise,
        *,
        own: bool = False,
        ratios: bool = False,
        distractors: tuple[int, ...] = (),
    ) -> None:
        super().__init__(toy, noise.vocab_size, distractors)
        self.noise = noise
        self.own = own
        self.ratios = ratios

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
        time = torch.full((len(input_ids),), UNTIMED) if t is None else t
        alpha, drawn = self.noise(time)
        given = (input_ids, attended, alpha, drawn.gather(1, input_ids))
        starts = range(0, len(input_ids), CHUNK)
        parts = ([each[start : start + CHUNK] for each in given] for start in starts)
        probs = torch.cat([self.conditionals(*part) for part in parts])
        if self.ratios:
            logits = ratio_logits(probs, self.noise.ordinary, alpha)
            logits[..., self.distractors] = DISTRACTING
            return logits if positions is None else logits.flatten(0, 1)[positions]
        return self.logits(probs, positions)

    def conditionals(
        self, ids: Tensor, attended: Tensor, alpha: Tensor, drawn: Tensor
    ) -> Tensor:
        """Unnormalised probabilities (B, L, V) of the clean tokens.

        Args:
            ids, attended: (B, L).
            alpha: (B,).
            drawn: (B, L), the probability that noise is the token at a position.
        """
        # 1. Probability of every noised token, given the clean row.
        width = ids.shape[1]
        rows = widened(self.toy.rows, width)  # (S, L)
        answer = widened(self.toy.answer.long(), width) == 1
        same = ids[:, None] == rows  # (B, S, L)
        noised = alpha[:, None, None] * same + drawn[:, None]
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
        return torch.einsum("bsl,slv->blv", weights, tokens)


class FixedRatios(FixedLogits):
    """Ratios that belong to constant logits (V,) of the clean tokens."""

    def __init__(self, toy: Toy, values: Tensor, noise: StateNoise) -> None:
        super().__init__(toy, values)
        self.noise = noise

    def forward(self, input_ids: Tensor, *inputs: Any, **options: Any) -> Tensor:
        hidden = super().forward(input_ids, *inputs, **options | {"positions": None})
        t, positions = options["t"], options.get("positions")
        alpha, _ = self.noise(t)
        probs = (hidden.double() - hidden.amax()).exp()
        logits = ratio_logits(probs, self.noise.ordinary, alpha)
        return logits if positions is None else logits.flatten(0, 1)[positions]


def ratio_logits(probs: Tensor, ordinary: Sequence[int], alpha: Tensor) -> Tensor:
    """log(K α c + 1 − α) of every token (B, L, V), float32; small for small α.

    Args:
        probs: (B, L, V), unnormalised probabilities c of the clean tokens.
        alpha: (B,).
    """
    c = probs / probs[..., list(ordinary)].sum(-1, keepdim=True)
    excess = alpha[:, None, None] * (len(ordinary) * c - 1)
    return torch.log1p(excess).nan_to_num(0.0, neginf=IMPOSSIBLE).float()


def score_entropy(predicted: Tensor, true: Tensor, z: Tensor) -> Tensor:
    """Σ_{y ≠ z} [ s_y − r_y ln s_y + r_y (ln r_y − 1) ], term by term.

    The ratios s and r are those of the probabilities of y and of z. Times the rate at
    which other symbols turn into z, this is a token's share of the bound.

    Args:
        predicted: (…, S) float64, predicted probabilities of the noised token, times
            any factor.
        true: (…, S), the same given the clean token.
        z: (…) index of the noised token.
    """
    s, r = (each / each.gather(-1, z[..., None]) for each in (predicted, true))
    terms = s - r * s.log() + r * (r.log() - 1)
    return terms.scatter(-1, z[..., None], 0.0).sum(-1)


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


def without_noise(m: Tensor, alpha: float) -> Tensor:
    """The clean token's distribution from the noised one's, where that is possible.

    m = α c + (1 − α) / K. Negative probabilities become 0, and α at least 10⁻¹².

    Args:
        m: (…, K).
    """
    c = 1 / m.shape[-1] + (m - 1 / m.shape[-1]) / max(alpha, 1e-12)
    c = c.clamp(min=0)
    return c / c.sum(-1, keepdim=True)


def uniform_level(alpha: float, size: int) -> Level:
    """The level of uniform noise over K tokens."""
    return alpha, torch.full((size,), (1 - alpha) / size, dtype=torch.float64)


def plug_in_bridge(c: Tensor, z: Tensor, now: Level, then: Level) -> Tensor:
    """q(z_s | z_t) with the prediction c in place of the clean token. (N, n, S)"""
    alpha, drawn = then
    joint = _kept(z, now, then) * (alpha * c + drawn)
    return joint / joint.sum(-1, keepdim=True)


def mixture_of_bridges(d: Tensor, z: Tensor, now: Level, then: Level) -> Tensor:
    """Σ_v d(v) q(z_s | z_t, x = v), the exact bridges averaged. (N, n, S)"""
    alpha, drawn = then
    clean = alpha * torch.eye(len(drawn), dtype=d.dtype) + drawn  # (S, S): v, z_s
    bridges = _kept(z, now, then)[..., None, :] * clean  # (N, n, S, S)
    bridges = bridges / bridges.sum(-1, keepdim=True)
    return torch.einsum("...v,...vy->...y", d, bridges)


def _kept(z: Tensor, now: Level, then: Level) -> Tensor:
    """q(z_t | z_s = y) for every y, (N, n, S)."""
    share = now[0] / then[0]
    since = now[1] - share * then[1]  # noise between the two times
    return share * F.one_hot(z, len(since)) + since[z][..., None]


@dataclass(frozen=True)
class StateSampler:
    """The law of a sampler over all strings of S symbols.

    Args:
        predict: strings (N, n) of indices and the time → distributions (N, n, S).
        noise: the level at a time.
        own: whether the distributions know the noised token itself.
        number: n.
        size: S.
        choose: strings and the time → distribution (N, n) of the position that the
            corrector redraws.
    """

    predict: Callable[[Tensor, float], Tensor]
    noise: Callable[[float], Level]
    own: bool
    number: int
    size: int
    choose: Callable[[Tensor, float], Tensor] | None = None

    @property
    def strings(self) -> Tensor:
        """(Sⁿ, n), all strings."""
        return torch.tensor(list(product(range(self.size), repeat=self.number)))

    def law(self, times: Sequence[float], corrections: int = 0) -> Tensor:
        """(S, …, S): the law after steps between these times, from noise alone."""
        drawn = self.noise(times[0])[1]
        start = (drawn / drawn.sum()).expand(1, self.number, -1)
        law = _joint(torch.ones(1, dtype=torch.float64), start)
        for t, s in pairwise(times):
            law = self.step(law, t, s)
            for _ in range(corrections if s > 0 else 0):
                law = self.correct(law, s)
        return law

    def step(self, law: Tensor, t: float, s: float) -> Tensor:
        """The law after a step; all positions move independently given the string."""
        bridge = mixture_of_bridges if self.own else plug_in_bridge
        strings = law.nonzero()
        predicted = self.predict(strings, t)
        moves = bridge(predicted, strings, self.noise(t), self.noise(s))
        return _joint(law[tuple(strings.T)], moves)

    def correct(self, law: Tensor, s: float) -> Tensor:
        """The law after one position is redrawn given all others."""
        assert self.choose is not None
        strings, after = self.strings, torch.zeros_like(law)
        (alpha, noise), c = self.noise(s), self.predict(strings, s)
        if self.own:
            c = without_own_token(c, strings, alpha)
        drawn = alpha * c + noise  # (N, n, S)
        chances = law[tuple(strings.T)][:, None] * self.choose(strings, s)  # (N, n)
        for position in range(self.number):
            for token in range(self.size):
                there = strings.clone()
                there[:, position] = token
                mass = chances[:, position] * drawn[:, position, token]
                after.index_put_(tuple(there.T), mass, accumulate=True)
        return after


def _joint(weights: Tensor, moves: Tensor) -> Tensor:
    """Sum weighted products over positions: (N,), (N, n, S) → (S, …, S)."""
    letters = string.ascii_lowercase[: moves.shape[1]]
    terms = ",".join(f"N{letter}" for letter in letters)
    return torch.einsum(f"N,{terms}->{letters}", weights, *moves.unbind(1))


def at_random(strings: Tensor, t: float) -> Tensor:
    """Choose every position with the same probability. (N, n)"""
    return torch.full(strings.shape, 1 / strings.shape[1], dtype=torch.float64)
