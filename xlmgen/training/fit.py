"""Fit the model of a run, starting from its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from rich.console import Console
from rich.text import Text

from xlmgen.data import summary
from xlmgen.distributed import processes
from xlmgen.distributed.launch import is_first
from xlmgen.errors import UserError
from xlmgen.evaluation.generate import generate_answers
from xlmgen.evaluation.scores import answer_metrics, require_metrics, score
from xlmgen.experiment.settings import Training
from xlmgen.runs.build import Parts, build
from xlmgen.runs.checkpoint import load_into, load_state
from xlmgen.runs.checkpoint_folder import IMPORTED, Weights, checkpoints
from xlmgen.runs.folder import record_rows
from xlmgen.runs.metrics import read_rows, validated_before_last
from xlmgen.runs.provenance import changed_rows
from xlmgen.runs.run import METRICS, ResumePoint, Run, Stored
from xlmgen.training.curve import learning_curve
from xlmgen.training.devices import check_device, is_out_of_memory
from xlmgen.training.early_end import EarlyEnd, rises
from xlmgen.training.guard import NotFinite, StepRange
from xlmgen.training.harness import Harness
from xlmgen.training.interrupt import StopOnSignal
from xlmgen.training.patience import Patience
from xlmgen.training.recorder import Recorder, Scorer, callbacks_of
from xlmgen.training.samples import SAMPLES, log_samples, shows_samples
from xlmgen.training.stop_when import StopWhen, Target
from xlmgen.training.trackers import Tracker
from xlmgen.training.trainer import build_trainer, quiet_lightning

GENERATION_SEED = 0
"""Seed of the answers of every validation, so that validations are comparable."""


@dataclass(frozen=True)
class Fit:
    """A run whose parts fit together, ready to be trained.

    Args:
        start: the checkpoint from which the training starts, if any.
    """

    run: Run
    parts: Parts
    harness: Harness
    trainer: Trainer
    start: ResumePoint

    @classmethod
    def prepare(cls, run: Run, console: Console) -> Fit:
        """Build the parts, the harness and the trainer of a run.

        Raises:
            UserError: the parts do not fit together, two metrics have the same name,
                the device is missing, or no checkpoint of the run is intact.
        """
        check_device(run.experiment.training, console)
        start = resume_point(run, console)
        parts = build(run, stored=_imported(start))
        harness = Harness.of(parts)
        losses = harness.validation_names()
        check_metric_names(
            parts, losses, generated=run.experiment.evaluation.generate > 0
        )
        trainer = _trainer(run, parts, losses, start, console)
        return cls(run, parts, harness, trainer, start)

    def go(self, console: Console) -> None:
        """Train until `max_steps`, starting from the last checkpoint if there is one.

        Raises:
            UserError: the device has too little memory, an example is wrong, losses or
                gradients are not finite, or a tracker cannot start.
            Interrupted: a signal stopped the training.
        """
        step, settings = self.start.step, self.run.experiment.training
        _announce(self.run, self.harness, console)
        if step >= settings.max_steps:
            console.print(
                f"already trained to step {step}; to continue, raise training.max_steps"
            )
            return
        console.print(summary.line(self.parts.task))
        if is_first():
            self._record_rows(console)
        checkpoint = self._restore()
        if reason := self._reason:
            console.print(f"already ended at step {step}: {reason}")
            return
        self._announce_start(console)
        self.parts.data.start_batch = step * settings.accumulate
        for logger in self.trainer.loggers:
            logger.log_hyperparams(dict(self.run.experiment.data))
            if isinstance(logger, Tracker):
                logger.begin()
        self._fit(checkpoint)
        if reason := self._reason:
            step = self.trainer.global_step
            console.print(f"ended at step {step}: {reason}")
        _show_curve(self.run, console)

    def _record_rows(self, console: Console) -> None:
        """Print a note if rows have changed; record the digests of the rows used."""
        if note := changed_rows(self.run, self.parts.task):
            console.print(note, style="yellow")
        record_rows(self.run, self.parts.task.prepared.digests)

    def _restore(self) -> Path | None:
        """Load imported weights and the state of early ends, ahead of Lightning.

        Returns:
            the checkpoint for Lightning; None for a new run and for imported weights,
            which have no other state.
        """
        checkpoint = self.start.folder
        if checkpoint is None:
            return None
        if (checkpoint / IMPORTED).is_file():
            load_into(self.parts.model, checkpoint)
            return None
        states = load_state(checkpoint)["callbacks"]
        for end in self._ends:
            end.load_state_dict(states[end.state_key])
        return checkpoint

    def _announce_start(self, console: Console) -> None:
        """Print where the training continues, or which rows are written again."""
        if self.start.step:
            console.print(f"continuing from step {self.start.step}")
        elif rows := read_rows(self.run.path / METRICS):
            last = rows[-1]["step"]
            console.print(
                f"note: no checkpoint was saved yet: the run starts again from step 0, "
                f"and the rows up to step {last} in {METRICS} are written again",
                style="yellow",
            )

    def _fit(self, checkpoint: Path | None) -> None:
        """Run Lightning's training; translate errors that a user can fix."""
        try:
            with quiet_lightning():
                self.trainer.fit(
                    self.harness,
                    self.parts.data,
                    ckpt_path=checkpoint,
                    weights_only=True,
                )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(
                "training: the device has too little memory",
                "lower training.batch_size and raise training.accumulate",
            ) from error
        except NotFinite as error:
            stop = _not_finite(error.steps, self.run)
            if not is_first():  # the first process prints the error for all
                raise SystemExit(stop.exit_code) from error
            raise stop from error

    @property
    def _ends(self) -> list[EarlyEnd]:
        callbacks = callbacks_of(self.trainer)
        return [callback for callback in callbacks if isinstance(callback, EarlyEnd)]

    @property
    def _reason(self) -> str | None:
        """Reason why the run has ended before `max_steps`; None if it has not."""
        return next((end.reason for end in self._ends if end.over), None)


def resume_point(run: Run, console: Console) -> ResumePoint:
    """The last intact checkpoint; a note for each later one that is not.

    Raises:
        UserError: no checkpoint is intact, or all that were saved are gone.
    """
    start = run.resume_point()
    if start.folder is None:
        refuse_lost_checkpoints(run, read_rows(run.path / METRICS))
    for step, wrong in start.passed.items():
        console.print(
            f"note: the checkpoint of step {step} is not used: {wrong}",
            style="yellow",
        )
    return start


def check_metric_names(parts: Parts, losses: Sequence[str], *, generated: bool) -> None:
    """Refuse a metric of the task that would share its column with a family's.

    Args:
        losses: the metrics of the family's loss.
        generated: whether validations score answers, so that the task's metrics count.

    Raises:
        UserError: names the metric.
    """
    for name in parts.task.own_metrics:
        if name in losses and generated:
            raise UserError(
                f"task {parts.task.name}: its metric '{name}' has the name of one "
                f"of the family {parts.family.name}",
                "rename the function in its module and in the task",
            )


def _trainer(
    run: Run,
    parts: Parts,
    losses: Sequence[str],
    start: ResumePoint,
    console: Console,
) -> Trainer:
    """Build the trainer of a run, with the callbacks that may end it early.

    Raises:
        UserError: Lightning refuses the device or precision.
    """
    experiment = run.experiment
    generate = experiment.evaluation.generate
    scores = parts.task.metrics if generate else ()
    with quiet_lightning():
        try:
            return build_trainer(
                experiment,
                run.path,
                console,
                resumed_at=start.step,
                scorer=validation_scorer(parts, generate),
                ends=early_ends(experiment.training, losses, scores),
            )
        except (MisconfigurationException, RuntimeError, ValueError) as error:
            # Lightning's error for a device or precision that this machine lacks.
            raise UserError(
                f"training: {' '.join(str(error).split()).rstrip('.!')}",
                "change training.accelerator, devices or precision",
            ) from error


def _show_curve(run: Run, console: Console) -> None:
    for line in learning_curve(read_rows(run.path / METRICS), console.width):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def early_ends(
    settings: Training, falling: Collection[str], rising: Collection[str]
) -> Callable[[Recorder], list[EarlyEnd]]:
    """Return a function that builds the callbacks that may end a run early.

    Args:
        falling: names of a validation's metrics of which smaller values are better.
        rising: names of those of which larger values are better.

    Raises:
        UserError: `patience_metric` or `stop_when` names no metric of a validation.
    """
    metric = settings.patience_metric
    improves = rises("training.patience_metric", metric, falling, rising)
    targets = {
        name: Target(value, rises("training.stop_when", name, falling, rising))
        for name, value in settings.stop_when.items()
    }
    return lambda recorder: [
        Patience(recorder, settings.patience, metric, rises=improves),
        StopWhen(recorder, targets),
    ]


def refuse_lost_checkpoints(run: Run, rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse to start again from step 0 if checkpoints were saved and all are lost.

    Args:
        rows: of `metrics.csv`.

    Raises:
        UserError: the rows show that a checkpoint was saved.
    """
    step = validated_before_last(rows)
    if step is not None:
        raise UserError(
            f"{run.checkpoints} has no checkpoint, but {METRICS} says that the run "
            f"was validated at step {step} and saved",
            "restore a checkpoint from a copy, or start again with another --run-dir",
        )


def validation_scorer(parts: Parts, limit: int) -> Scorer | None:
    """Return a function that answers and scores the first `limit` validation rows.

    Where nothing is scored, such as texts, it generates as many as loggers show.
    """
    metrics = answer_metrics(parts.task)
    if not limit:
        return None
    require_metrics(parts.task, metrics)

    def scorer(trainer: Trainer, harness: Harness) -> dict[str, float]:
        if not metrics and not shows_samples(trainer.loggers):
            return {}
        stop = next(c for c in callbacks_of(trainer) if isinstance(c, StopOnSignal))
        answers = generate_answers(
            harness.model,
            parts.predictor,
            parts.data.predict_dataloader(
                "validation", limit if metrics else min(limit, SAMPLES)
            ),
            eos=parts.tokens.eos,
            device=harness.device,
            seed=GENERATION_SEED,
            after_batch=lambda _: stop.leave_validation_if_asked(trainer),
        )
        examples = parts.task.examples("validation")
        rows = [examples[row] for row in answers.rows]
        scores = score(parts.task, rows, answers.ids)
        log_samples(trainer.loggers, parts.task, rows, answers.ids, trainer.global_step)
        # A program may end in time on one process but not on another, so the scores
        # of the first process count.
        return processes.gather(scores)[0]

    return scorer


def _imported(start: ResumePoint) -> Stored | None:
    """Return the imported weights that a run starts from; None if there are none."""
    if start.folder is None or not (start.folder / IMPORTED).is_file():
        return None
    return Stored(start.step, start.folder, Weights.raw, averaged=False)


def _not_finite(steps: StepRange, run: Run) -> UserError:
    last = max(checkpoints(run.checkpoints), default=0)
    kept = f"the last checkpoint is that of step {last}"
    if not last:
        kept = "there is no checkpoint yet"
    return UserError(
        f"training: the loss or its gradient was NaN or infinite in {len(steps.bad)} "
        f"of the steps {steps.first} to {steps.last}, first in step {steps.bad[0]}, at "
        f"a learning rate of {steps.learning_rate:.3g}; such a step changes no weight, "
        f"and {kept}",
        "lower training.learning_rate or raise training.warmup_steps in a new run "
        "(--run-dir), or skip such steps with training.on_nan=skip",
    )


def _announce(run: Run, harness: Harness, console: Console) -> None:
    parameters = sum(p.numel() for p in harness.model.parameters())
    size = f"  {parameters / 1e6:.2f} M parameters  {run.path}"
    console.print(
        Text.assemble((run.experiment.name, "bold"), size),
    )
