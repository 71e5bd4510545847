"""Toy rows with missing and masked tokens, and their oracle.

For processes that insert and unmask tokens (arXiv:2509.01025): at time t a token is
missing, masked or visible. A remnant is a row without its missing tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.runtime.noise import Schedule
from xlmgen.testing.oracle import IMPOSSIBLE, Oracle
from xlmgen.testing.schedule import slope
from xlmgen.testing.toy import Toy

MISSING, MASKED, VISIBLE = range(3)
"""States of a token at a time."""


@dataclass(frozen=True)
class Remnants:
    """Rows of a toy with all combinations of states of their answers' tokens.

    Shapes: K remnants, L positions.
    """

    source: Tensor  # (K,) index of the toy's row
    ids: Tensor  # (K, L) clean tokens that are not missing, then PAD
    attended: Tensor  # (K, L) bool
    masked: Tensor  # (K, L) bool
    free: Tensor  # (K, L) bool, tokens after which others may be missing
    gaps: Tensor  # (K, L) number of tokens missing after each
    fates: Tensor  # (K, 3) numbers of missing, masked and visible tokens

    def __len__(self) -> int:
        return len(self.source)


def remnants(toy: Toy, fates: Sequence[int]) -> Remnants:
    """Enumerate the remnants in which every answer token has one of these states."""
    found = [
        _remnant(toy, source, chosen)
        for source, answer in enumerate(toy.answer)
        for chosen in product(fates, repeat=int(answer.sum()))
    ]
    width = max(len(left) for _, left in found)

    def column(index: int) -> Tensor:
        """Collect one property of every token that is not missing, (K, L)."""
        rows = [[token[index] for token in left] for _, left in found]
        return torch.tensor([row + [0] * (width - len(row)) for row in rows])

    sources, chosen = zip(*(origin for origin, _ in found), strict=True)
    lengths = torch.tensor([len(left) for _, left in found])
    return Remnants(
        source=torch.tensor(sources),
        ids=column(0),
        attended=torch.arange(width) < lengths[:, None],
        masked=column(1).bool(),
        free=column(2).bool(),
        gaps=column(3),
        fates=torch.tensor(
            [[each.count(fate) for fate in range(3)] for each in chosen]
        ),
    )


Origin = tuple[int, tuple[int, ...]]


def _remnant(
    toy: Toy, source: int, chosen: tuple[int, ...]
) -> tuple[Origin, list[list[int]]]:
    """Return the tokens that are not missing: id, masked, free, missing after it."""
    opening = len(toy.prompts[source])  # BOS follows the prompt
    end = opening + len(toy.targets[source])
    answer, fate = toy.answer[source].tolist(), iter(chosen)
    left: list[list[int]] = []
    for column in range(int(toy.lengths[source])):
        what = next(fate) if answer[column] else VISIBLE
        if what == MISSING:
            left[-1][3] += 1
        else:
            token = int(toy.rows[source, column])
            left.append([token, what == MASKED, opening <= column <= end, 0])
    return (source, chosen), left


def fate_chances(insert: Schedule, unmask: Schedule, t: Tensor) -> Tensor:
    """Probabilities (…, 3) in float64 that a token is missing, masked, visible.

    At t > 0 a token is masked if it was inserted at some τ ≥ t and not unmasked since:
    −∫ a′(τ) (1 − b(t)) / (1 − b(τ)) dτ. The integral is taken over v = −log τ.
    """
    t = t.double()
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(48))
    end = -t.log()[..., None]
    tau = torch.exp(-end * (nodes + 1) / 2)
    rate = -slope(insert, tau) * tau / (1 - unmask.alpha(tau))
    masked = (weights * end / 2 * rate).sum(-1) * (1 - unmask.alpha(t))
    inserted = insert.alpha(t)
    return torch.stack((1 - inserted, masked, inserted - masked), dim=-1)


class RemnantOracle(Oracle):
    """p(masked token) and p(number missing in a gap), given a remnant and the time.

    Args:
        insert: the schedule of insertions. The schedule of unmasking has no influence:
            it gives a remnant the same probability for every row.
        longest: None for expectations of gaps, else the largest number of a gap.
    """

    def __init__(
        self,
        toy: Toy,
        vocab_size: int,
        mask: int,
        insert: Schedule,
        longest: int | None = None,
        distractors: tuple[int, ...] = (),
    ) -> None:
        super().__init__(toy, vocab_size, distractors)
        self.mask = mask
        self.insert = insert
        self.longest = longest
        left = remnants(toy, (MISSING, VISIBLE))
        self.left = left
        self.left_ids = left.ids.masked_fill(~left.attended, -1)
        self.left_tokens = F.one_hot(left.ids, vocab_size).double().flatten(1)
        targets = left.gaps[..., None].double()
        if longest is not None:
            targets = F.one_hot(left.gaps, longest + 1).double()
        self.left_gaps = targets.flatten(1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        t: Tensor,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        self.record(input_ids, t)
        width = self.left.ids.shape[1]
        ids = input_ids
        if attention_mask is not None:
            ids = ids.masked_fill(~attention_mask, -1)
        assert ids.shape[1] <= width, "longer than any row of the toy"
        ids = F.pad(ids, (0, width - ids.shape[1]), value=-1)

        # Each different input once.
        asked = torch.cat((ids.double(), t.double()[:, None]), dim=1)
        asked, index = torch.unique(asked, dim=0, return_inverse=True)
        ids, t = asked[:, :-1].long(), asked[:, -1]
        fits = (ids[:, None] == self.left_ids) | (
            (ids[:, None] == self.mask) & self.left.attended
        )
        chances = self.toy.probs[self.left.source] * fits.all(-1)  # (Q, K)
        absent = 1 - self.insert.alpha(t)[:, None]
        chances = chances * absent ** self.left.fates[:, MISSING]
        probs = (chances @ self.left_tokens).view(*ids.shape, -1)
        gaps = (chances @ self.left_gaps).view(*ids.shape, -1)
        gaps = gaps / chances.sum(1)[:, None, None]

        here = slice(input_ids.shape[1])
        logits = self.logits(probs[index][:, here], positions)
        return logits, self.gap_output(gaps[index][:, here], absent[index])

    def gap_output(self, gaps: Tensor, absent: Tensor) -> Tensor:
        """Compute a head's output of gaps (B, L, C), where (B, 1) of the tokens miss.

        It is an expectation (B, L) > 0 divided by this share, or log-probabilities.
        """
        if self.longest is None:
            expected = gaps[..., 0].nan_to_num(0.0) / absent.clamp(min=1e-12)
            return expected.clamp(min=1e-30).float()
        return gaps.log().nan_to_num(IMPOSSIBLE).clamp(min=IMPOSSIBLE).float()


class FixedGrowth(Oracle):
    """Constant logits (V,) and constant output for gaps.

    Args:
        gap: output for every gap, () or (C,).
    """

    def __init__(self, toy: Toy, values: Tensor, gap: Tensor) -> None:
        super().__init__(toy, values.shape[-1])
        self.values = values
        self.gap = gap

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        t: Tensor,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        self.record(input_ids, t)
        logits = self.values.expand(*input_ids.shape, -1)
        gaps = self.gap.expand(*input_ids.shape, *self.gap.shape)
        if positions is not None:
            logits = logits.flatten(0, 1)[positions]
        return logits.clone(), gaps.clone()


def insertion_slack(number: int) -> float:
    """Compute c_n, the oracle's loss minus the entropy for answers of n tokens.

    c_n = ln n + (2/n) Σ_{k<n} c_k. An inserted token is one of the tokens missing in
    its gap, and the bound does not know which: this costs the logarithm of their
    number. c_n is its expected sum over the n insertions in random order.
    """
    found = [0.0, 0.0]
    for n in range(2, number + 1):
        found.append(float(np.log(n)) + 2 / n * sum(found))
    return found[number]
