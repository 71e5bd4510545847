"""Non-finite guard: a step whose loss or gradient is not finite changes no weight.

The optimiser reads the decision on the device, so the host does not wait for it.
`Recorder` checks losses and norms when it writes a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class StepRange:
    """Steps since the last row, some of which were not finite.

    Args:
        first, last: first and last step of the range, counted from 1.
        bad: steps whose loss or gradient was not finite.
        learning_rate: of the last step.
    """

    first: int
    last: int
    bad: tuple[int, ...]
    learning_rate: float


class NotFinite(Exception):
    """Raised to stop the training at a loss or gradient that is not finite."""

    def __init__(self, steps: StepRange) -> None:
        super().__init__(str(steps))
        self.steps = steps


def spread(loss: Tensor) -> Tensor:
    """Return the loss; if it is not finite, make its gradients NaN.

    The norm of the gradient then shows both faults. Since gradients are averaged over
    devices, it shows them on every device.

    Args:
        loss: ().
    """
    return loss * torch.where(loss.detach().isfinite(), 1.0, torch.nan)


def clip(parameters: Iterable[nn.Parameter], largest: float | None) -> Tensor:
    """Clip the norm of the gradient over all parameters.

    Returns:
        the norm before clipping, (), on the device.
    """
    trained = [p for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
    if largest is not None:
        nn.utils.clip_grads_with_norm_(trained, largest, norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def skip_unless_finite(optimizer: torch.optim.Optimizer, norm: Tensor) -> None:
    """Make a fused optimiser skip its next step if the norm is not finite.

    `found_inf` is the attribute by which gradient scalers skip steps of fused
    optimisers.
    """
    optimizer.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
