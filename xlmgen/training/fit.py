"""A run folder and a trainer: fit the model, from the last checkpoint on."""

from __future__ import annotations

from lightning.pytorch import Trainer
from rich.console import Console

from xlmgen.assembly import Assembly, assemble
from xlmgen.evaluation.generate import generate_answers
from xlmgen.evaluation.scores import score
from xlmgen.harness import Harness
from xlmgen.run import Run
from xlmgen.training.checkpoint_folder import checkpoints
from xlmgen.training.interrupt import StopOnSignal, handlers_kept
from xlmgen.training.recorder import Scorer
from xlmgen.training.trainer import build_trainer, quiet_lightning

GENERATION_SEED = 0
"""Seeds the answers of every validation, so that they compare."""


def fit(run: Run, console: Console) -> None:
    """Train until `max_steps`, from the run's last checkpoint where there is one.

    Raises:
        UserError: the parts do not fit together.
        Interrupted: a signal asked to stop; the state has been saved.
    """
    parts = assemble(run)
    settings = run.experiment.training
    found = checkpoints(run.checkpoints)
    step = max(found, default=0)
    _announce(run, parts.harness, step, console)
    if step >= settings.max_steps:
        return
    parts.data.start_batch = step * settings.accumulate
    with quiet_lightning(), handlers_kept():
        trainer = build_trainer(
            run.experiment,
            run.path,
            console,
            resumed_at=step,
            scorer=validation_scorer(parts, run.experiment.evaluation.generate),
        )
        trainer.fit(
            parts.harness, parts.data, ckpt_path=found.get(step), weights_only=True
        )


def validation_scorer(parts: Assembly, limit: int) -> Scorer | None:
    """Answers the first `limit` validation rows and scores them with the task."""
    if not limit or not parts.task.metrics:
        return None

    def scorer(trainer: Trainer, harness: Harness) -> dict[str, float]:
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        stop = next(c for c in callbacks if isinstance(c, StopOnSignal))
        answers = generate_answers(
            harness.model,
            parts.predictor,
            parts.data.predict_dataloader("validation", limit),
            eos=parts.tokens.eos,
            device=harness.device,
            seed=GENERATION_SEED,
            after_batch=lambda _: stop.leave_validation_if_asked(trainer),
        )
        examples = parts.task.examples("validation")
        rows = [examples[row] for row in answers.rows]
        return score(parts.task, rows, answers.ids)

    return scorer


def _announce(run: Run, harness: Harness, step: int, console: Console) -> None:
    experiment, steps = run.experiment, run.experiment.training.max_steps
    parameters = sum(p.numel() for p in harness.model.parameters())
    console.print(
        f"[bold]{experiment.name}[/]  {parameters / 1e6:.2f} M parameters  {run.path}",
        highlight=False,
        soft_wrap=True,
    )
    if step >= steps:
        console.print(
            f"trained to step {step} already; to go on, raise training.max_steps",
            highlight=False,
        )
    elif step:
        console.print(f"continuing from step {step}", highlight=False)
