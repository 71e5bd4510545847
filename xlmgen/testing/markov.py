"""Hidden Markov models: exact probabilities of sequences of any length.

A toy that is written down as a table ends at a few tokens. Of a hidden Markov model,
forward–backward gives every conditional probability of sequences of hundreds of tokens,
so that a sampler's error can be computed at the lengths that it is used at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

UNKNOWN = -1
"""Stands at a position whose token is not known."""


@dataclass(frozen=True)
class HiddenMarkov:
    """A distribution over sequences of `length` tokens, in float64.

    Shapes: H hidden states, K tokens, B rows, L positions.

    Args:
        initial: (H,) probabilities of the first state.
        transition: (H, H) from a state (row) to the next.
        emission: (H, K) from a state (row) to its token.
        length: L.
    """

    initial: Tensor
    transition: Tensor
    emission: Tensor
    length: int

    @classmethod
    def chain(cls, initial: Tensor, transition: Tensor, length: int) -> MarkovChain:
        """A Markov chain: every state shows its own token."""
        return MarkovChain(
            initial.double(),
            transition.double(),
            torch.eye(len(initial), dtype=torch.float64),
            length,
        )

    @classmethod
    def random_chain(
        cls, tokens: int, length: int, *, seed: int, peak: float = 0.1
    ) -> MarkovChain:
        """A Markov chain in which every sequence is possible."""
        rows = _dirichlet(tokens + 1, tokens, seed, peak)
        return cls.chain(rows[0], rows[1:], length)

    @classmethod
    def random(
        cls, states: int, tokens: int, length: int, *, seed: int, peak: float = 0.1
    ) -> HiddenMarkov:
        """A hidden Markov model in which every sequence is possible.

        Args:
            peak: concentration of the Dirichlet distributions that the rows are drawn
                from; the smaller, the less a state leaves open.
        """
        moves = _dirichlet(states + 1, states, seed, peak)
        shown = _dirichlet(states, tokens, seed + 1, peak)
        return cls(moves[0], moves[1:], shown, length)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw sequences (B, L)."""
        state = _draw(self.initial.expand(count, -1), generator)
        tokens = []
        for _ in range(self.length):
            tokens.append(_draw(self.emission[state], generator))
            state = _draw(self.transition[state], generator)
        return torch.stack(tokens, 1)

    def log_prob(self, ids: Tensor, kept: Tensor | None = None) -> Tensor:
        """log p of the known tokens of each row (B, L), the others summed out: (B,).

        Args:
            kept: (B,) probability that a known token is the sequence's own; otherwise
                it was drawn uniformly from the K tokens. None if all are its own.
        """
        evidence = self._evidence(ids, kept)
        total = torch.zeros(len(ids), dtype=torch.float64)
        belief = self.initial.expand(len(ids), -1)
        for position in range(self.length):
            belief = belief * evidence[:, position]
            scale = belief.sum(1, keepdim=True)
            total = total + scale[:, 0].log()
            belief = (belief / scale) @ self.transition
        return total

    def conditionals(self, ids: Tensor, kept: Tensor | None = None) -> Tensor:
        """p(x_i = v | all other known tokens) at every position: (B, L, K).

        At a position that is not known these are the true conditionals given all that
        is; at a known one its own token is left out. Two passes of L products.

        Args:
            kept: (B,), as in `log_prob`: known tokens may have been replaced. The
                result is about the clean token x_i, given the noised others.
        """
        evidence = self._evidence(ids, kept)  # (B, L, H)
        before = [self.initial.expand(len(ids), -1)]
        for position in range(self.length - 1):
            belief = before[-1] * evidence[:, position]
            belief = belief / belief.sum(1, keepdim=True)
            before.append(belief @ self.transition)
        after = [torch.ones_like(before[0])]
        for position in range(self.length - 1, 0, -1):
            message = (after[-1] * evidence[:, position]) @ self.transition.T
            after.append(message / message.sum(1, keepdim=True))
        state = torch.stack(before, 1) * torch.stack(after[::-1], 1)
        shown = state @ self.emission
        return shown / shown.sum(-1, keepdim=True)

    def conditionals_at(
        self, ids: Tensor, positions: Tensor, kept: Tensor | None = None
    ) -> Tensor:
        """Conditionals (N, K) at flat positions (N,), row · L + column."""
        return self.conditionals(ids, kept).flatten(0, 1)[positions]

    @property
    def entropy(self) -> float:
        """Entropy of a Markov chain's sequences in nats.

        Raises:
            ValueError: the states are hidden; no closed form is known.
        """
        states, tokens = self.emission.shape
        if states != tokens or not torch.equal(
            self.emission, torch.eye(states, dtype=torch.float64)
        ):
            raise ValueError("only a Markov chain's entropy has a closed form")
        step = torch.special.entr(self.transition).sum(1)
        total = torch.special.entr(self.initial).sum()
        belief = self.initial
        for _ in range(self.length - 1):
            total = total + belief @ step
            belief = belief @ self.transition
        return float(total)

    @property
    def pairs(self) -> Tensor:
        """p(x_i = a, x_{i+1} = b), averaged over the positions i: (K, K)."""
        total = torch.zeros(self.emission.shape[1], self.emission.shape[1]).double()
        belief = self.initial
        for _ in range(self.length - 1):
            total += (self.emission.T * belief) @ self.transition @ self.emission
            belief = belief @ self.transition
        return total / (self.length - 1)

    def _evidence(self, ids: Tensor, kept: Tensor | None) -> Tensor:
        """p(token | state) of known tokens, 1 of others: (B, L, H)."""
        shown = self.emission.T[ids.clamp(min=0)]
        if kept is not None:
            kept = kept.double()[:, None, None]
            shown = kept * shown + (1 - kept) / self.emission.shape[1]
        return torch.where((ids == UNKNOWN)[..., None], 1.0, shown)


class MarkovChain(HiddenMarkov):
    """A Markov chain: given its nearest known neighbours, a token needs no others.

    With them at distances d and e, p(x_i = v | …) ∝ Tᵈ[left, v] · Tᵉ[v, right].
    """

    @cached_property
    def powers(self) -> Tensor:
        """(L, K, K), the powers 0 … L − 1 of the transition."""
        powers = [torch.eye(len(self.transition), dtype=torch.float64)]
        for _ in range(self.length - 1):
            powers.append(powers[-1] @ self.transition)
        return torch.stack(powers)

    @cached_property
    def marginals(self) -> Tensor:
        """(L, K), the distribution of the token at every position."""
        return self.initial @ self.powers

    def log_prob(self, ids: Tensor, kept: Tensor | None = None) -> Tensor:
        if kept is not None:
            return super().log_prob(ids, kept)
        row, place = (ids != UNKNOWN).nonzero(as_tuple=True)
        p = self._given_left(ids, row, place).gather(1, ids[row, place, None])[:, 0]
        total = torch.zeros(len(ids), dtype=torch.float64)
        return total.index_add_(0, row, p.log())

    def conditionals(self, ids: Tensor, kept: Tensor | None = None) -> Tensor:
        if kept is not None:
            return super().conditionals(ids, kept)
        found = self.conditionals_at(ids, torch.arange(ids.numel()))
        return found.view(*ids.shape, -1)

    def conditionals_at(
        self, ids: Tensor, positions: Tensor, kept: Tensor | None = None
    ) -> Tensor:
        if kept is not None:
            return super().conditionals_at(ids, positions, kept)
        row, place = positions // self.length, positions % self.length
        places = torch.where(ids == UNKNOWN, self.length, torch.arange(self.length))
        after = places.flip(1).cummin(1).values.flip(1).roll(-1, 1)
        after[:, -1] = self.length
        right = after[row, place]  # (N,) the next known position, or L
        inside = right.clamp(max=self.length - 1)
        shown = self.powers[inside - place, :, ids[row, inside].clamp(min=0)]
        shown = torch.where((right < self.length)[:, None], shown, 1.0)
        probs = self._given_left(ids, row, place) * shown
        return probs / probs.sum(1, keepdim=True)

    def _given_left(self, ids: Tensor, row: Tensor, place: Tensor) -> Tensor:
        """p(token | the last known one before it), (N, K)."""
        places = torch.where(ids == UNKNOWN, -1, torch.arange(self.length))
        before = places.cummax(1).values.roll(1, 1)
        before[:, 0] = -1
        left = before[row, place]  # (N,) the last known position, or −1
        inside = left.clamp(min=0)
        shown = self.powers[place - inside, ids[row, inside].clamp(min=0)]
        return torch.where((left >= 0)[:, None], shown, self.marginals[place])


def _dirichlet(rows: int, width: int, seed: int, peak: float) -> Tensor:
    """Random distributions (rows, width), none of whose probabilities is 0."""
    drawn = np.random.default_rng(seed).dirichlet(np.full(width, peak), size=rows)
    return torch.from_numpy(0.99 * drawn + 0.01 / width)


def _draw(probs: Tensor, generator: torch.Generator) -> Tensor:
    """One index for each row of (B, N): (B,)."""
    return torch.multinomial(probs, 1, generator=generator)[:, 0]
