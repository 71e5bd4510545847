"""Random state of training, as plain tensors."""

from __future__ import annotations

import torch
from torch import Tensor

State = dict[str, Tensor]


def capture() -> State:
    """State of the CPU's generator, and of the current GPU's if there is one."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore(state: State) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def seed(*parts: int) -> None:
    """Seed every generator with a combination of all parts."""
    value = 0
    for part in parts:
        # A linear congruential step keeps (0, 1) and (1, 0) apart.
        value = (value + part + 1) * 6364136223846793005 % 2**63
    torch.manual_seed(value)
