"""The result of a generation, and the record of its steps."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Generation", "Trace", "Tracer", "until"]


@dataclass(frozen=True)
class Trace:
    """Record of written tokens: step, row, position and token of each.

    All four are (E,) int64 in the order of writing. Remasking a position writes the
    mask token.
    """

    step: Tensor
    row: Tensor
    position: Tensor
    token: Tensor


@dataclass(frozen=True)
class Generation:
    """Result of a predictor.

    Args:
        ids: (B, L), prompts and answers.
        generated: (B, L) bool, positions that the predictor filled.
        forward_passes: number of forward passes, each over any number of rows.
        trace: record of written tokens, if requested.
    """

    ids: Tensor
    generated: Tensor
    forward_passes: int
    trace: Trace | None = None

    def answers(self, eos: int) -> list[list[int]]:
        """The generated ids of every row before its first EOS.

        This is the only definition of an answer, for metrics and for display.
        """
        rows = zip(self.ids.tolist(), self.generated.tolist(), strict=True)
        return [
            until(
                (token for token, new in zip(ids, flags, strict=True) if new),
                eos,
            )
            for ids, flags in rows
        ]

    def lengths(self, eos: int) -> Tensor:
        """(B,) int64, number of tokens of every answer, without EOS."""
        return torch.tensor([len(answer) for answer in self.answers(eos)])


def until(tokens: Iterable[int], stop: int) -> list[int]:
    """The tokens before the first `stop`."""
    result = []
    for token in tokens:
        if token == stop:
            break
        result.append(token)
    return result


class Tracer:
    """Collector of a `Trace` while a predictor runs."""

    def __init__(self) -> None:
        self._events: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def write(self, step: int, where: Tensor, tokens: Tensor) -> None:
        """Record `tokens` (N,) written at the true positions of `where` (B, L)."""
        row, position = where.nonzero(as_tuple=True)
        self.write_at(step, row, position, tokens)

    def write_at(
        self, step: int, row: Tensor, position: Tensor, tokens: Tensor
    ) -> None:
        """Record tokens (N,) written at the given rows and positions (N,)."""
        steps = torch.full_like(row, step)
        self._events.append((steps, row, position, tokens.clone()))

    def trace(self) -> Trace:
        if not self._events:
            none = torch.empty(0, dtype=torch.int64)
            return Trace(none, none, none, none)
        return Trace(
            *(torch.cat(parts).cpu() for parts in zip(*self._events, strict=True))
        )
