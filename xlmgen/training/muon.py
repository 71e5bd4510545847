"""Muon and AdamW as one optimiser, for matrices of hidden layers and for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Muon, Optimizer


class MuonWithAdamW(Optimizer):
    """Two optimisers of disjoint parameters, with one list of groups and one state.

    Learning-rate schedules, checkpoints and gradient scalers treat it as a single
    optimiser. Muon's groups come first, then AdamW's.

    Args:
        muon: updates the matrices of hidden layers.
        adamw: updates all other parameters.

    Attributes:
        found_inf: (), on the device, set before a step. If it is not 0, the step
            changes no weight and no state. None, the default, always steps.
    """

    def __init__(self, muon: Muon, adamw: AdamW) -> None:
        self._muon, self._adamw = muon, adamw
        self._muon_groups = len(muon.param_groups)
        self.found_inf: Tensor | None = None
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # loading replaces the groups and the state
        self._share()

    def _share(self) -> None:
        """Make both optimisers use the groups and state of this one."""
        self._muon.param_groups = self.param_groups[: self._muon_groups]
        self._adamw.param_groups = self.param_groups[self._muon_groups :]
        self._muon.state = self._adamw.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.found_inf is None:
            self._muon.step()  # type: ignore[no-untyped-call]
        else:
            self._step_muon_unless(self.found_inf != 0)
            self._adamw.found_inf = self.found_inf  # type: ignore[attr-defined]
        self._adamw.step()
        return loss

    def _step_muon_unless(self, skip: Tensor) -> None:
        """Step Muon; undo the step on the device if `skip`, (), is true.

        Unlike AdamW's fused kernels, Muon does not read `found_inf`. This costs one
        copy of Muon's matrices.
        """
        matrices = [
            parameter
            for group in self._muon.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        before = [matrix.clone() for matrix in matrices]
        for matrix in matrices:
            # Muon's update is momentum + (1 - decay) (gradient - momentum), so a
            # gradient equal to the momentum leaves the momentum exactly unchanged.
            momentum = self.state[matrix].get("momentum_buffer")
            kept = torch.zeros_like(matrix) if momentum is None else momentum
            matrix.grad.copy_(torch.where(skip, kept, matrix.grad))
        self._muon.step()  # type: ignore[no-untyped-call]
        for matrix, old in zip(matrices, before, strict=True):
            matrix.copy_(torch.where(skip, old, matrix))
