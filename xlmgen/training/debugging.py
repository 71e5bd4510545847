"""`--debug`: whether the parts work, found out in seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

SMALL = 0.05
"""A mean loss in nats below which one batch counts as learned."""
OVERFIT_STEPS = 2000
SMOKE = (
    "training.max_steps=2",
    "training.log_every=1",
    "training.validate_every=2",
    "training.warmup_steps=0",
    "evaluation.generate=4",
)
OVERFIT = (
    "training.warmup_steps=0",
    "training.schedule=constant",
    "training.num_workers=0",
)


def smoke(overrides: Sequence[str]) -> tuple[Path, list[str]]:
    """Folder and overrides of a run of two steps, a validation and a generation."""
    folder = Path(tempfile.mkdtemp(prefix="xlmgen-smoke-"))
    return folder, [*overrides, *SMOKE]


def overfit(path: Path, overrides: Sequence[str], console: Console) -> int:
    """Train on one batch until its loss is small.

    The batch keeps its corruption, so that its loss can fall to zero; nothing is
    written to a run folder that stays.

    Returns:
        0 when the batch was learned, 1 when it was not.
    """
    from xlmgen.experiment.resolve import resolve
    from xlmgen.training.train import prepare

    with tempfile.TemporaryDirectory(prefix="xlmgen-overfit-") as folder:
        experiment = resolve(path, [*overrides, *OVERFIT])
        run, _ = prepare(experiment, Path(folder), console, ())

        from xlmgen.training.overfit import overfit_one_batch

        steps, loss = overfit_one_batch(run, console, small=SMALL, steps=OVERFIT_STEPS)
    if loss < SMALL:
        console.print(f"learned one batch: loss {loss:.4f} after {steps} steps")
        return 0
    console.print(
        f"one batch was not learned: loss {loss:.4f} after {steps} steps, not below "
        f"{SMALL}; look at the loss, or raise training.learning_rate"
    )
    return 1
