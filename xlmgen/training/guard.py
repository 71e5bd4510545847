"""Steps whose loss or gradient is not finite change nothing, and nobody waits for them.

Whether a step is one of them is decided on the device, where the optimiser reads it.
`Recorder` looks at the norms when it writes a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class StepRange:
    """Steps since the last row, of which some were not finite.

    Args:
        first, last: of the steps that were looked at.
        bad: those whose loss or gradient was not finite.
        learning_rate: of the last step.
    """

    first: int
    last: int
    bad: tuple[int, ...]
    learning_rate: float


class NotFinite(Exception):
    """Training met a loss or gradient that is not finite, and is to stop at that."""

    def __init__(self, steps: StepRange) -> None:
        super().__init__(str(steps))
        self.steps = steps


def spread(loss: Tensor) -> Tensor:
    """The loss, whose gradients are NaN where it is not finite itself.

    The norm of the gradient then says all, and after gradients were averaged it says
    the same on every device.
    """
    return loss * torch.where(loss.detach().isfinite(), 1.0, torch.nan)


def clip(parameters: Iterable[nn.Parameter], largest: float | None) -> Tensor:
    """Clip the norm of the gradient over all parameters.

    Returns:
        The norm as it was, on the device.
    """
    there = [p for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in there if p.grad is not None])
    if largest is not None:
        nn.utils.clip_grads_with_norm_(there, largest, norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def skip_unless_finite(optimizer: torch.optim.Optimizer, norm: Tensor) -> None:
    """Let the next step of a fused optimiser change nothing if the norm is not finite.

    It is how gradient scalers tell fused optimisers to skip a step.
    """
    optimizer.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
