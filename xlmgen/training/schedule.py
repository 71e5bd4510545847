"""How the learning rate moves: a warm-up, then one of five curves; no torch."""

from __future__ import annotations

import math
from collections.abc import Callable

from xlmgen.experiment.settings import Training


def learning_rate_factor(training: Training) -> Callable[[int], float]:
    """The factor on the peak learning rate for the step that comes after `done` steps.

    It rises from 1/warmup_steps to 1 during the warm-up, whatever the schedule. Those
    that fall to an end do not fall below `min_lr_ratio`, and stay there.
    """
    warmup, least = training.warmup_steps, training.min_lr_ratio

    def factor(done: int) -> float:
        if done < warmup:
            return (done + 1) / warmup
        match training.schedule:
            case "constant":
                return 1.0
            case "inverse_sqrt":  # Vaswani et al. 2017, arXiv:1706.03762, section 5.3
                return max(least, math.sqrt(max(1, warmup) / (done + 1)))
            case "linear":
                left = 1.0 - _part(done, warmup, training.max_steps)
            case "cosine":
                part = _part(done, warmup, training.max_steps)
                left = 0.5 * (1.0 + math.cos(math.pi * part))
            case "wsd":  # Hägele et al. 2024, arXiv:2405.18392: better than a line
                start = cooldown_start(training)
                left = 1.0 - math.sqrt(_part(done, start, training.max_steps))
        return least + (1.0 - least) * left

    return factor


def cooldown_start(training: Training) -> int:
    """The steps that `wsd` takes before its learning rate begins to fall."""
    steps = max(1, round(training.cooldown * training.max_steps))
    return max(training.warmup_steps, training.max_steps - steps)


def change_after(step: int, before: Training, now: Training) -> str | None:
    """What another `max_steps` does to the learning rate of a run that goes on.

    Args:
        step: the steps that it has taken.

    Returns:
        None where the next step has the learning rate that it would have had anyway.
    """
    earlier, later = (
        training.learning_rate * learning_rate_factor(training)(step)
        for training in (before, now)
    )
    if earlier == later:
        return None
    return (
        f"training.max_steps was {before.max_steps} and is {now.max_steps}: the "
        f"schedule {now.schedule} ends there now, and the learning rate of step "
        f"{step + 1} is {later:.3g}, where it was to be {earlier:.3g}"
    )


def _part(done: int, start: int, end: int) -> float:
    """How much of the way from one step to another is behind, from 0 to 1."""
    return min(1.0, max(0, done - start) / max(1, end - start))
