"""A family with uniform noise, as the suites of its bounds and losses look at it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.testing.schedule import alpha as alpha_at
from xlmgen.testing.schedule import exact_ends, noise_schedule, slope
from xlmgen.testing.state import StateOracle, score_entropy
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.loss import Batch
from xlmgen.testing.toy import ANSWER, Toy

NODES = 24
"""Nodes of a quadrature, which is precise to 10⁻⁴ for every schedule."""

LEVELS = [1e-6, 1e-3, 0.2, 0.6, 0.99, 1 - 1e-5]
"""Noise levels 1 − α at which single rows are compared."""


class StateSubject(FamilyTests):
    """A family with uniform noise, and batches that are built without its collator."""

    @property
    def size(self) -> int:
        return len(self.ordinary)

    def state_oracle(self, toy: Toy, *, own: bool) -> StateOracle:
        """An oracle with the highest logits for ids that must be excluded."""
        distractors = self.suppress_tokens
        return StateOracle(
            *(toy, self.noise), own=own, ratios=self.ratios, distractors=distractors
        )

    def patterns(self, toy: Toy) -> tuple[Tensor, Tensor]:
        """Enumerate pairs of a row's index and its noised tokens, (…,) and (…, L)."""
        symbols = self.noise.symbols
        choices = torch.tensor(list(product(symbols, repeat=ANSWER)))
        rows, noised = [], []
        for row, answer in enumerate(toy.answer):
            number = int(answer.sum())
            chosen = choices[: len(symbols) ** number, ANSWER - number :]
            ids = toy.rows[row].repeat(len(chosen), 1)
            ids[:, answer] = chosen
            rows.append(torch.full((len(chosen),), row))
            noised.append(ids)
        return torch.cat(rows), torch.cat(noised)

    def chance(self, toy: Toy, rows: Tensor, noised: Tensor, t: Tensor) -> Tensor:
        """Probability of rows and their noised tokens at times (…), in float64."""
        alpha, drawn = self.noise(t)
        same = noised == toy.rows[rows]
        each = alpha[:, None] * same + drawn.gather(1, noised)
        return toy.probs[rows] * torch.where(toy.answer[rows], each, 1.0).prod(1)

    def batch(self, toy: Toy, rows: Tensor, noised: Tensor, t: Tensor) -> Batch:
        """Build a batch by its declaration, without the family's collator."""
        clean, attended, answer = toy.rows[rows], toy.attended[rows], toy.answer[rows]
        return {
            "input_ids": noised,
            "attention_mask": None if attended.all() else attended,
            "target_ids": clean,
            "noisable": answer,
            "noisable_positions": answer.flatten().nonzero().squeeze(1),
            "noised_positions": (noised != clean).flatten().nonzero().squeeze(1),
            "t": t.float().expand(len(rows)),
            "time_weight": torch.ones(len(rows)),
        }

    def time(self, level: float) -> Tensor:
        """A time in float32 at which about this share of the tokens is noise."""
        if self.noise.mask is not None:
            return torch.tensor(level)
        level = min(max(level, self.levels[0]), self.levels[1])
        schedule = noise_schedule(self.spec)
        return schedule.inverse(torch.tensor(1 - level, dtype=torch.float64)).float()

    @property
    def levels(self) -> tuple[float, float]:
        """The noise levels 1 − α at the ends."""
        schedule = noise_schedule(self.spec)
        return 1 - alpha_at(schedule, 0.0), 1 - alpha_at(schedule, 1.0)

    def row_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The family's loss of every row, (B,) in float64."""
        found: Tensor = self.family.loss(self.tokens)(model, batch)["row_loss"]
        return found.double()

    def definition(self, model: nn.Module, batch: Batch) -> Tensor:
        """The integrand of every row's bound by the definition of the noise, (B,)."""
        symbols = torch.tensor(self.noise.symbols)
        logits = model(batch["input_ids"], batch["attention_mask"], t=batch["t"])
        logits = logits.double()
        logits[..., list(self.suppress_tokens)] = -torch.inf
        p = logits[..., symbols].softmax(-1)  # (B, L, S); MASK is no clean token
        x, z = (
            (batch[key][..., None] == symbols).long().argmax(-1)
            for key in ("target_ids", "input_ids")
        )
        alpha, drawn = self.noise(batch["t"])
        alpha, drawn = alpha[:, None, None], drawn[:, None, symbols]
        clean = F.one_hot(x, len(symbols))
        predicted = p if self.ratios else drawn + alpha * p
        terms = score_entropy(predicted, drawn + alpha * clean, z)
        terms = terms * self.noise.rate(batch["t"])[:, symbols].gather(1, z)
        some = batch["noisable"] & (alpha[..., 0] > 0)  # else nothing is left of x
        return torch.where(some, terms, 0.0).sum(1)

    def quadrature(self, toy: Toy, start: float) -> tuple[Batch, Tensor]:
        """Enumerate rows and noised tokens at the nodes of a quadrature in time.

        Args:
            start: the smallest time.

        Returns:
            the batch, and the weight of each of its rows in the expectation.
        """
        rows, noised = self.patterns(toy)
        times, weights = [], []
        for t, share in self.times(start):
            every = t.expand(len(rows))
            times.append(every)
            weights.append(self.chance(toy, rows, noised, every) * share)
        batch = self.batch(
            toy, rows.repeat(NODES), noised.repeat(NODES, 1), torch.cat(times)
        )
        return batch, torch.cat(weights)

    def times(self, start: float) -> Iterator[tuple[Tensor, float]]:
        """Nodes of a quadrature from a time to 1, even in the noise level 1 − α."""
        schedule = noise_schedule(self.spec)
        if self.noise.mask is not None:
            for node, share in sine_nodes(NODES):
                length = 1 - start
                yield torch.tensor(start + length * node), share * length
            return
        low, high = 1 - alpha_at(schedule, start), self.levels[1]
        for node, share in sine_nodes(NODES):
            t = self.time(low + (high - low) * node)
            yield t, share * (high - low) / -float(slope(schedule, t))

    @property
    def prior_per_token(self) -> float:
        """KL divergence of a noised token at t = 1 from the noise of generation."""
        if self.noise.mask is not None:
            return 0.0
        left = alpha_at(noise_schedule(self.spec), 1.0)
        q = torch.full((self.size,), (1 - left) / self.size, dtype=torch.float64)
        q[0] += left
        return max(0.0, float((q * (self.size * q).log()).sum()))

    def priors(self, batch: Batch) -> Tensor:
        """The prior term of every row, (B,) in float64."""
        return self.prior_per_token * batch["noisable"].sum(1).double()

    def prior(self, toy: Toy) -> float:
        """The expected prior term of a row."""
        return self.prior_per_token * float((toy.probs * toy.answer.sum(1)).sum())

    def token_nll(self, model: nn.Module, batch: Batch) -> Tensor:
        """−Σ log p(x_i | z), (B,) in float64, by Bayes' rule: p(x_i) q(z_i | x_i).

        p(x_i) is what the network predicts. Ratios give the distribution of a noised
        token, which at t = 0 is nearly that of the clean one.
        """
        logits = model(batch["input_ids"], batch["attention_mask"], t=batch["t"])
        log_c = logits[..., self.ordinary].double().log_softmax(-1)  # (B, L, K)
        alpha, drawn = self.noise(batch["t"])
        ordinary = torch.tensor(self.ordinary)
        of_z = drawn.gather(1, batch["input_ids"])[..., None]
        evidence = of_z + alpha[:, None, None] * (
            batch["input_ids"][..., None] == ordinary
        )
        log_probs = (log_c + evidence.log()).log_softmax(-1)
        clean = batch["target_ids"][..., None] == ordinary
        found = torch.where(clean, log_probs, 0.0).sum(-1)
        return -torch.where(batch["noisable"], found, 0.0).sum(1)

    def reconstruction(self, toy: Toy) -> float:
        """The expected reconstruction term of a row; 0 with exact ends."""
        return float((toy.probs * self.reconstructions(toy, toy)).sum())

    def reconstructions(self, toy: Toy, believed: Toy) -> Tensor:
        """The reconstruction term (S,) of every row under a distribution."""
        if self.exact:
            return torch.zeros_like(toy.probs)
        rows, noised = self.patterns(toy)
        batch = self.batch(toy, rows, noised, torch.zeros(()))
        chance = self.chance(toy, rows, noised, batch["t"]) / toy.probs[rows]
        nll = self.token_nll(self.state_oracle(believed, own=False), batch)
        return sums(chance * nll, rows, len(toy))

    def gaps(self, toy: Toy, believed: Toy) -> Tensor:
        """By how much the bound (S,) of every row exceeds its −log p; 0 for exact ends.

        At t = 0 tokens are reconstructed independently, and at t = 1 they are generated
        from noise, which differs from what is left of a row. Both gaps are sums over
        the noised rows, of log p(x | z) and log p(z) under the distribution.
        """
        gaps = torch.zeros_like(toy.probs)
        if self.exact:
            return gaps
        rows, noised = self.patterns(toy)
        context = believed.probs * believed.nll().exp()  # p(given tokens and length)
        powers = self.tokens.vocab_size ** torch.arange(noised.shape[1])
        same = (noised * powers).sum(1)  # a number for every noised row
        number = int(same.max()) + 1
        for end in (0.0, 1.0):
            t = torch.full((len(rows),), end)
            joint = self.chance(believed, rows, noised, t)
            total = sums(joint, same, number)[same]  # p(z)
            if end == 0:
                log_ratio = (joint / total).log()
            else:
                each = toy.answer[rows].sum(1) * math.log(self.size)
                log_ratio = (total / context[rows]).log() + each
            chance = joint / believed.probs[rows]
            gaps += sums(chance * log_ratio, rows, len(toy))
        return gaps + self.reconstructions(toy, believed)

    def bounds(self, toy: Toy, believed: Toy, *, own: bool = False) -> Tensor:
        """The bound (S,) of every row for the oracle of a distribution."""
        batch, weights = self.quadrature(toy, 0.0)
        rows = self.patterns(toy)[0].repeat(NODES)
        share = weights / toy.probs[rows]
        losses = self.row_loss(self.state_oracle(believed, own=own), batch)
        found = sums(share * losses, rows, len(toy))
        prior = self.prior_per_token * toy.answer.sum(1)  # in every loss
        found += prior * (1 - sums(share, rows, len(toy)))
        return found + self.reconstructions(toy, believed)

    @property
    def exact(self) -> bool:
        """Whether no noise is left at t = 0, and nothing else at t = 1."""
        return self.noise.mask is not None or exact_ends(self.spec)


class Wide(nn.Module):
    """A network with outputs in float64."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.head = inner, inner.head

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        hidden: Tensor = self.inner(*inputs, **options)
        return hidden.double()


def sums(values: Tensor, groups: Tensor, number: int) -> Tensor:
    """Add up values (N,) by the number (N,) of their group: (number,)."""
    return values.new_zeros(number).index_add(0, groups, values)


def sine_nodes(number: int) -> list[tuple[float, float]]:
    """Nodes in (0, 1) of Gauss–Legendre after t = sin²(π u / 2), twice, and weights.

    The substitutions flatten singularities at both ends, and put nodes where t^½ is
    small: hybrid noise of a large share has most of its bound there.
    """
    nodes, weights = np.polynomial.legendre.leggauss(number)
    t, w = (nodes + 1) / 2, weights / 2
    for _ in range(2):
        t, w = np.sin(np.pi * t / 2) ** 2, w * np.pi / 2 * np.sin(np.pi * t)
    return list(zip(t.tolist(), w.tolist(), strict=True))
