"""A distribution over examples that is small enough to write down as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from xlmgen.runtime.special_tokens import Block, SpecialTokens

CONTENT = (5, 6, 7)
"""The ordinary tokens of the tests' vocabulary."""

ANSWER = 3
"""Positions of an answer, EOS and predicted pads included."""


@dataclass(frozen=True)
class Toy:
    """Every row that has a probability, laid out as a family sees it.

    Shapes: S rows, L positions. The probabilities are random, so that the tokens of a
    row depend on each other, on the prompt, and on the length.

    Args:
        prompts: (S) the prompt of every row.
        targets: (S) the ordinary tokens of its answer.
        rows: (S, L) the whole row; PAD behind its end.
        lengths: (S,) attended tokens of the row.
        answer: (S, L) bool, what is to be produced.
        probs: (S,) float64, adding up to 1.
        block: lengths that all of it fits in.
    """

    prompts: Sequence[tuple[int, ...]]
    targets: Sequence[tuple[int, ...]]
    rows: Tensor
    lengths: Tensor
    answer: Tensor
    probs: Tensor
    block: Block

    def __len__(self) -> int:
        return len(self.probs)

    @property
    def examples(self) -> list[dict[str, Any]]:
        """What a task would give for every row."""
        if not self.block.prompt:
            return [{"tokens": list(target)} for target in self.targets]
        return [
            {"prompt": list(prompt), "target": list(target)}
            for prompt, target in zip(self.prompts, self.targets, strict=True)
        ]

    @property
    def attended(self) -> Tensor:
        """(S, L) bool, False on pads that are no part of a row."""
        return torch.arange(self.rows.shape[1]) < self.lengths[:, None]

    def given(self, prompt: tuple[int, ...]) -> Tensor:
        """(S,) the distribution of the rows that begin with a prompt; 0 elsewhere."""
        chosen = torch.tensor([other == prompt for other in self.prompts])
        return self.probs * chosen / self.probs[chosen].sum()

    def sample(self, size: int, seed: int = 0) -> Tensor:
        """Indices (size,) of rows drawn at random."""
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
    """A toy of all contents of the given lengths behind each of the prompts.

    Args:
        prompts: `[()]` for rows without a prompt.
        bos: whether BOS stands between prompt and answer.
        eos: whether EOS ends the answer.
        pads: whether pads fill up the answer and are part of it.
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
        block=Block(ANSWER, longest) if prompted else Block(ANSWER + longest),
    )


def entropy(probs: Tensor) -> float:
    """Entropy in nats of a distribution (S,), zeros allowed."""
    return float(torch.special.entr(probs).sum())


def seeded(seed: int = 0) -> torch.Generator:
    """A generator that starts from `seed`."""
    return torch.Generator().manual_seed(seed)
