"""Modes of `xlmgen train --debug`: smoke, overfit and profile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from xlmgen.errors import UserError
from xlmgen.terminal.console import SafeConsole

if TYPE_CHECKING:
    from xlmgen.training.profiling import StepProfiler

SMALL = 0.05
"""Mean loss in nats below which one batch counts as learned."""
OVERFIT_STEPS = 2000
ALONE = ("training.devices=1", "training.num_nodes=1", "training.strategy=auto")
SMOKE = (
    "training.max_steps=2",
    "training.log_every=1",
    "training.validate_every=2",
    "training.warmup_steps=0",
    "evaluation.generate=4",
    *ALONE,
)
WARMUP_STEPS, PROFILED_STEPS, SHOWN = 5, 10, 15
"""Of `--debug profile`: warm-up steps, profiled steps, operations shown."""
PROFILE = (
    "training.max_steps=1000000",
    "training.log_every=1000000",
    "training.validate_every=1000000",
    "training.checkpoint_every=1000000",
    "training.devices=1",
    "training.num_nodes=1",
    "training.strategy=auto",
    "loggers=[]",
)
OVERFIT = (
    "training.warmup_steps=0",
    "training.schedule=constant",
    "training.num_workers=0",
    *ALONE,
)


def smoke(overrides: Sequence[str]) -> tuple[Path, list[str]]:
    """Return folder and overrides of a run with two steps, validation and answers."""
    folder = Path(tempfile.mkdtemp(prefix="xlmgen-smoke-"))
    return folder, [*overrides, *SMOKE]


def profile(path: Path, overrides: Sequence[str], console: Console) -> int:
    """Train for a few steps on one device, and show the time of their operations.

    Returns:
        0, or 128 plus the number of the signal that stopped the training.
    """
    from xlmgen.experiment.resolve import resolve
    from xlmgen.training.train import prepare

    experiment = resolve(path, [*overrides, *PROFILE])
    folder = Path(tempfile.mkdtemp(prefix="xlmgen-profile-"))
    quiet = SafeConsole(quiet=True)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # silence PyTorch's profiler
    try:
        run, _ = prepare(experiment, folder, console, ())

        from xlmgen.training.fit import Fit
        from xlmgen.training.profiling import Profiled, StepProfiler
        from xlmgen.training.signals import Interrupted

        fit = Fit.prepare(run, quiet)
    except UserError:
        shutil.rmtree(folder)
        raise
    profiler = StepProfiler(WARMUP_STEPS, PROFILED_STEPS)
    fit.trainer.callbacks.append(profiler)  # type: ignore[attr-defined]
    try:
        fit.go(quiet)
    except Interrupted as stop:
        shutil.rmtree(folder)
        return 128 + stop.signum
    except Profiled:
        pass
    trace = folder / "trace.json"
    profiler.write_trace(trace)
    _show(profiler, console)
    console.print()
    console.print(f"trace: {trace}")
    console.print("open it at https://ui.perfetto.dev")
    return 0


def _show(profiler: StepProfiler, console: Console) -> None:
    phases = profiler.phases()
    total = sum(phases.values())
    parts = (f"{name} {100 * part / total:.0f} %" for name, part in phases.items())
    console.print(
        f"{PROFILED_STEPS} steps after {WARMUP_STEPS} others: {1e3 * total:.1f} ms a "
        f"step, of which {', '.join(parts)}"
    )
    console.print()
    console.print(" share  calls/step    ms/step  operation, without those inside it")
    costs = profiler.costs()
    itself = sum(cost.seconds for cost in costs)
    for cost in costs[:SHOWN]:
        console.print(
            f"{100 * cost.seconds / itself:4.1f} %  {cost.calls / PROFILED_STEPS:10.1f}"
            f"  {1e3 * cost.seconds / PROFILED_STEPS:9.3f}  {cost.name}"
        )


def overfit(path: Path, overrides: Sequence[str], console: Console) -> int:
    """Train on one batch until its loss is small.

    The batch keeps its corruption, so that its loss can fall to zero. The run folder is
    temporary.

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
