"""Toy distributions over examples, small enough to enumerate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

CONTENT = (5, 6, 7)
"""Ordinary tokens of the tests' vocabulary."""

ANSWER = 3
"""Positions of an answer, with EOS and predicted pads."""


@dataclass(frozen=True)
class Toy:
    """A distribution over all possible rows, laid out as a family sees them.

    Shapes: S rows, L positions. The probabilities are random, so that the tokens of a
    row depend on each other, on the prompt, and on the length.

    Args:
        prompts: (S) prompt of every row.
        targets: (S) ordinary tokens of its answer.
        rows: (S, L) all tokens of the row, then PAD.
        lengths: (S,) number of attended tokens of the row.
        answer: (S, L) bool, tokens to generate.
        probs: (S,) float64, with sum 1.
        max_length: maximum lengths of the rows.
    """

    prompts: Sequence[tuple[int, ...]]
    targets: Sequence[tuple[int, ...]]
    rows: Tensor
    lengths: Tensor
    answer: Tensor
    probs: Tensor
    max_length: MaxLength

    def __len__(self) -> int:
        return len(self.probs)

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Return every row as an example of a task."""
        if not self.max_length.prompt:
            return [{"tokens": list(target)} for target in self.targets]
        return [
            {"prompt": list(prompt), "target": list(target)}
            for prompt, target in zip(self.prompts, self.targets, strict=True)
        ]

    @property
    def attended(self) -> Tensor:
        """(S, L) bool, False on pads that are not part of a row."""
        return torch.arange(self.rows.shape[1]) < self.lengths[:, None]

    def given(self, prompt: tuple[int, ...]) -> Tensor:
        """Compute the conditional probabilities (S,) of the rows given a prompt."""
        chosen = torch.tensor([other == prompt for other in self.prompts])
        return self.probs * chosen / self.probs[chosen].sum()

    def padded_law(self, prompt: tuple[int, ...], pad: int, vocab_size: int) -> Tensor:
        """Distribution (V, …, V) of the answers to a prompt, padded to `ANSWER`."""
        law = torch.zeros((vocab_size,) * ANSWER, dtype=torch.float64)
        for row, prob in enumerate(self.given(prompt)):
            answer = self.rows[row][self.answer[row]].tolist()
            law[(*answer, *[pad] * (ANSWER - len(answer)))] += prob
        return law

    def conditional_entropy(self) -> float:
        """Compute −Σ p log p(answer | given tokens and length)."""
        return float((self.probs * self.nll()).sum())

    def nll(self) -> Tensor:
        """Compute −log p(answer | given tokens and length) of every row, (S,)."""
        given = (~self.answer)[:, None]
        same = (self.rows[:, None] == self.rows[None]) | ~given
        fits = same.all(-1) & (self.lengths[:, None] == self.lengths)
        context = fits.double() @ self.probs
        return -(self.probs / context).log()

    def sample(self, size: int, seed: int = 0) -> Tensor:
        """Draw indices (size,) of rows."""
        return torch.multinomial(
            self.probs, size, replacement=True, generator=seeded(seed)
        )


def make_toy(
    tokens: SpecialTokens,
    *,
    prompts: Sequence[tuple[int, ...]],
    lengths: Iterable[int],
    bos: bool,
    eos: bool,
    pads: bool,
    seed: int = 0,
) -> Toy:
    """Make a toy of all answers of the given lengths after each of the prompts.

    Args:
        prompts: `[()]` for rows without a prompt.
        bos: whether BOS separates prompt and answer.
        eos: whether EOS ends the answer.
        pads: whether pads fill the answer and are part of it.
    """
    contents = [c for n in lengths for c in product(CONTENT, repeat=n)]
    pairs = list(product(prompts, contents))
    rows, answer = [], []
    for prompt, content in pairs:
        start = [*prompt, *([tokens.bos] if bos else [])]
        rest = [*content, *([tokens.eos] if eos else [])]
        rest += [tokens.pad] * (ANSWER - len(rest)) if pads else []
        rows.append(start + rest)
        answer.append([False] * len(start) + [True] * len(rest))
    width = max(map(len, rows))
    scores = torch.randn(len(rows), generator=seeded(seed), dtype=torch.float64)
    prompted = any(prompts)
    longest = max(map(len, prompts)) + int(bos)
    return Toy(
        prompts=[prompt for prompt, _ in pairs],
        targets=[content for _, content in pairs],
        rows=torch.tensor([r + [tokens.pad] * (width - len(r)) for r in rows]),
        lengths=torch.tensor([len(row) for row in rows]),
        answer=torch.tensor([a + [False] * (width - len(a)) for a in answer]),
        probs=scores.softmax(0),
        max_length=MaxLength(ANSWER, longest)
        if prompted
        else MaxLength(ANSWER + longest),
    )


def entropy(probs: Tensor) -> float:
    """Compute the entropy in nats of a distribution (S,), which may have zeros."""
    return float(torch.special.entr(probs).sum())


def seeded(seed: int = 0) -> torch.Generator:
    """Make a generator with a seed."""
    return torch.Generator().manual_seed(seed)
