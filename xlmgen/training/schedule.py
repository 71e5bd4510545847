"""Learning-rate schedules: a warm-up, then one of five curves; imports no torch."""

from __future__ import annotations

import math
from collections.abc import Callable

from xlmgen.experiment.settings import Training


def learning_rate_factor(training: Training) -> Callable[[int], float]:
    """Return the factor on the peak learning rate as a function of the steps done.

    The factor rises from 1/warmup_steps to 1 during the warm-up of every schedule. It
    does not fall below `min_lr_ratio`; schedules that end at `max_steps` stay there.
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
    """Number of steps before the learning rate of `wsd` starts to fall."""
    steps = max(1, round(training.cooldown * training.max_steps))
    return max(training.warmup_steps, training.max_steps - steps)


def change_after(step: int, before: Training, now: Training) -> str | None:
    """Describe how a new `max_steps` changes the learning rate of a continued run.

    Args:
        step: the number of steps that the run has taken.
        before: the earlier settings.
        now: the new settings.

    Returns:
        a note; None if the learning rate of the next step is unchanged.
    """
    earlier, later = (
        training.learning_rate * learning_rate_factor(training)(step)
        for training in (before, now)
    )
    if earlier == later:
        return None
    return (
        f"training.max_steps was {before.max_steps} and is {now.max_steps}: the "
        f"schedule {now.schedule} now ends at step {now.max_steps}, and the learning "
        f"rate of step {step + 1} is {later:.3g} instead of {earlier:.3g}"
    )


def _part(done: int, start: int, end: int) -> float:
    """Return the part of the steps from `start` to `end` that is done, from 0 to 1."""
    return min(1.0, max(0, done - start) / max(1, end - start))
