"""Exact distribution of the samples of a sampler that inserts and unmasks.

The sampler is a Markov chain over strings of tokens and masks up to a maximum length.
The distribution over all strings is computed step by step.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

String = tuple[int, ...]
Law = dict[String, float]

NEGLIGIBLE = 1e-10

SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "top_prob": lambda probs: probs.amax(-1),
    "margin": lambda probs: probs.topk(2).values @ torch.tensor([1.0, -1.0]).double(),
    "entropy": lambda probs: -torch.special.entr(probs).sum(-1),
}
"""Confidence score (N,) of token probabilities (N, V)."""


@dataclass(frozen=True)
class Step:
    """A step of the sampler.

    Args:
        time: input of the network.
        reveal: probability that a mask is revealed.
        insert: probability that a missing token is inserted; of an expected number,
            the share of all tokens that are inserted in this step.
    """

    time: float
    reveal: float
    insert: float


def growth_law(
    model: nn.Module,
    before: Sequence[int],
    after: Sequence[int],
    room: int,
    steps: Sequence[Step],
    *,
    mask: int,
    suppress_tokens: Sequence[int],
    score: Callable[[Tensor], Tensor] | None = None,
) -> Law:
    """Compute the distribution of the string between a given prefix and suffix.

    Args:
        room: maximum length of the string.
        suppress_tokens: ids that are never drawn.
        score: reveal the expected number of masks, the most confident first; without a
            score masks are revealed independently.
    """
    law: Law = {(): 1.0}
    for step in (*steps, Step(0.0, 1.0, 0.0)):
        strings = list(law)
        outputs = _outputs(model, before, after, strings, step.time, suppress_tokens)
        following: Law = defaultdict(float)
        for string, (probs, gaps) in zip(strings, outputs, strict=True):
            counts = list(_insertions(gaps, step.insert, room - len(string)))
            for revealed, chance in _reveals(string, probs, step.reveal, mask, score):
                for inserted, other in counts:
                    total = law[string] * chance * other
                    if total > NEGLIGIBLE:
                        following[_grown(revealed, inserted, mask)] += total
        law = dict(following)
    return law


def _outputs(
    model: nn.Module,
    before: Sequence[int],
    after: Sequence[int],
    strings: list[String],
    time: float,
    suppress_tokens: Sequence[int],
) -> list[tuple[Tensor, Tensor]]:
    """Run the network on every string.

    Returns:
        token probabilities (n, V), and for the gaps before the string and after each
        token (n + 1) expectations or (n + 1, C) probabilities.
    """
    rows = [[*before, *string, *after] for string in strings]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    attended = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
    times = torch.full((len(rows),), time)
    logits, gaps = model(ids, attended, t=times)
    logits = logits.double()
    logits[..., list(suppress_tokens)] = -torch.inf
    probs, gaps = logits.softmax(-1), gaps.double()
    if gaps.dim() == 3:
        gaps = gaps.softmax(-1)
    start = len(before)
    return [
        (
            probs[row, start : start + len(string)],
            gaps[row, start - 1 : start + len(string)],
        )
        for row, string in enumerate(strings)
    ]


def _reveals(
    string: String,
    probs: Tensor,
    chance: float,
    mask: int,
    score: Callable[[Tensor], Tensor] | None,
) -> Iterator[tuple[String, float]]:
    """Yield the strings after revealing masks, with probabilities."""
    masked = [place for place, token in enumerate(string) if token == mask]
    for chosen, weight in _choices(masked, probs, chance, score):
        options = [
            [(token, p) for token, p in enumerate(probs[place].tolist()) if p > 1e-9]
            for place in chosen
        ]
        for drawn in product(*options):
            revealed = list(string)
            for place, (token, _) in zip(chosen, drawn, strict=True):
                revealed[place] = token
            yield tuple(revealed), weight * math.prod(p for _, p in drawn)


def _choices(
    masked: list[int],
    probs: Tensor,
    chance: float,
    score: Callable[[Tensor], Tensor] | None,
) -> Iterator[tuple[list[int], float]]:
    """Yield the sets of revealed masks, with probabilities."""
    if score is None:
        for flags in product((False, True), repeat=len(masked)):
            weight = math.prod(chance if flag else 1 - chance for flag in flags)
            yield [p for p, flag in zip(masked, flags, strict=True) if flag], weight
        return
    ranked = sorted(masked, key=lambda place: -float(score(probs[place])))
    expected = len(masked) * chance
    number = math.floor(expected)
    yield ranked[:number], 1 - (expected - number)
    if expected > number:
        yield ranked[: number + 1], expected - number


def _insertions(
    gaps: Tensor, chance: float, room: int
) -> Iterator[tuple[list[int], float]]:
    """Yield the numbers of masks inserted into the gaps, with probabilities.

    Gaps are filled from left to right up to the maximum length."""
    if len(gaps) == 0:
        yield [], 1.0
        return
    sizes = list(_sizes(gaps[0], chance, room))
    for number, weight in sizes:
        for rest, other in _insertions(gaps[1:], chance, room - number):
            yield [number, *rest], weight * other


def _sizes(gap: Tensor, chance: float, room: int) -> Iterator[tuple[int, float]]:
    """Compute the distribution of the number inserted into a gap, cut at `room`."""
    left = 1.0
    for number in range(room):
        if gap.dim() == 0:
            rate = float(gap) * chance
            p = math.exp(-rate) * rate**number / math.factorial(number)
        else:
            p = sum(
                q * math.comb(c, number) * chance**number * (1 - chance) ** (c - number)
                for c, q in enumerate(gap.tolist())
                if c >= number
            )
        left -= p
        yield number, p
    yield room, max(left, 0.0)


def _grown(string: String, inserted: list[int], mask: int) -> String:
    grown = [mask] * inserted[0]
    for token, number in zip(string, inserted[1:], strict=True):
        grown += [token, *[mask] * number]
    return tuple(grown)
