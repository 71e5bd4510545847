"""A run folder and a trainer: fit the model, from the last checkpoint on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from rich.console import Console
from rich.text import Text

from xlmgen.data import summary
from xlmgen.distributed import processes
from xlmgen.distributed.launch import check_cores, is_first
from xlmgen.errors import UserError
from xlmgen.evaluation.generate import generate_answers
from xlmgen.evaluation.scores import answer_metrics, require_metrics, score
from xlmgen.experiment.settings import Training
from xlmgen.runs.build import Parts, build, device_for
from xlmgen.runs.checkpoint import load_into, load_state
from xlmgen.runs.checkpoint_folder import IMPORTED, Weights, checkpoints
from xlmgen.runs.folder import record_rows
from xlmgen.runs.provenance import changed_rows
from xlmgen.runs.run import METRICS, ResumePoint, Run, Stored
from xlmgen.training.curve import learning_curve
from xlmgen.training.early_end import EarlyEnd, rises
from xlmgen.training.guard import NotFinite, StepRange
from xlmgen.training.harness import Harness
from xlmgen.training.interrupt import StopOnSignal
from xlmgen.training.metrics_file import read_rows, validated_before_last
from xlmgen.training.patience import Patience
from xlmgen.training.recorder import Recorder, Scorer, callbacks_of
from xlmgen.training.stop_when import StopWhen, Target
from xlmgen.training.trackers import Tracker
from xlmgen.training.trainer import build_trainer, quiet_lightning

GENERATION_SEED = 0
"""Seeds the answers of every validation, so that they compare."""


@dataclass(frozen=True)
class Fit:
    """A run whose parts fit together, ready to be trained.

    Args:
        start: where the training begins.
    """

    run: Run
    parts: Parts
    harness: Harness
    trainer: Trainer
    start: ResumePoint

    @classmethod
    def prepare(cls, run: Run, console: Console) -> Fit:
        """Build everything.

        Raises:
            UserError: the parts do not fit together, two metrics have one name, the
                device is not there, or no checkpoint of the run is whole.
        """
        settings = run.experiment.training
        on_cpu = device_for(settings).type == "cpu"
        if settings.precision == "16-mixed" and on_cpu:
            raise UserError(
                "training.precision: 16-mixed needs a GPU", "use bf16-mixed or 32-true"
            )
        if settings.precision == "bf16-mixed" and on_cpu and emulates_bfloat16():
            console.print(
                "note: training.precision is bf16-mixed and this CPU has no bfloat16 "
                "instructions: it emulates them, several times as slowly as 32-true",
                style="yellow",
                soft_wrap=True,
            )
        require_devices(settings)
        start = run.resume_point()
        if start.folder is None:
            refuse_lost_checkpoints(run, read_rows(run.path / METRICS))
        for step, wrong in start.passed.items():
            console.print(
                f"note: the checkpoint of step {step} is not used: {wrong}",
                style="yellow",
                soft_wrap=True,
            )
        parts = build(run, stored=_imported(start))
        generate = run.experiment.evaluation.generate
        rising = parts.task.metrics if generate else ()
        harness = Harness.of(parts)
        losses = harness.validation_names()
        for name in parts.task.own_metrics:
            if name in losses and generate:  # both would be val/NAME
                raise UserError(
                    f"task {parts.task.name}: its metric '{name}' has the name of one "
                    f"of the family {parts.family.name}",
                    "rename the function in its module and in the task",
                )
        with quiet_lightning():
            try:
                trainer = build_trainer(
                    run.experiment,
                    run.path,
                    console,
                    resumed_at=start.step,
                    scorer=validation_scorer(parts, generate),
                    ends=early_ends(settings, losses, rising),
                )
            except (MisconfigurationException, RuntimeError, ValueError) as error:
                # Lightning's words for a device or precision that this machine lacks.
                raise UserError(
                    f"training: {' '.join(str(error).split()).rstrip('.!')}",
                    "change training.accelerator, devices or precision",
                ) from error
        return cls(run, parts, harness, trainer, start)

    def go(self, console: Console) -> None:
        """Train until `max_steps`, from the last checkpoint where there is one.

        Raises:
            UserError: the device has too little memory, an example is wrong, losses or
                gradients are not finite, or a tracker cannot begin.
            Interrupted: a signal asked to stop.
        """
        settings = self.run.experiment.training
        step, checkpoint = self.start.step, self.start.folder
        _announce(self.run, self.harness, console)
        if step >= settings.max_steps:
            console.print(
                f"trained to step {step} already; to go on, raise training.max_steps"
            )
            return
        console.print(summary.line(self.parts.task), soft_wrap=True)
        if is_first():
            if note := changed_rows(self.run, self.parts.task):
                console.print(note, style="yellow", soft_wrap=True)
            record_rows(self.run, self.parts.task.prepared.digests)
        if checkpoint is not None and (checkpoint / IMPORTED).is_file():
            load_into(self.parts.model, checkpoint)  # there is no more to it
            checkpoint = None
        if checkpoint is not None:
            states = load_state(checkpoint)["callbacks"]
            for end in self._ends:
                end.load_state_dict(states[end.state_key])
        if reason := self._reason:
            console.print(f"ended at step {step} already: {reason}", soft_wrap=True)
            return
        if step:
            console.print(f"continuing from step {step}")
        elif rows := read_rows(self.run.path / METRICS):
            last = rows[-1]["step"]
            console.print(
                f"note: no checkpoint was saved yet: the run begins again from step 0, "
                f"and the rows up to step {last} in {METRICS} are written again",
                style="yellow",
                soft_wrap=True,
            )
        self.parts.data.start_batch = step * settings.accumulate
        for logger in self.trainer.loggers:
            if isinstance(logger, Tracker):
                logger.begin()
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
            if not is_first():  # which says it for all
                raise SystemExit(stop.exit_code) from error
            raise stop from error
        if reason := self._reason:
            step = self.trainer.global_step
            console.print(f"ended at step {step}: {reason}", soft_wrap=True)
        for line in learning_curve(
            read_rows(self.run.path / "metrics.csv"), console.width
        ):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    @property
    def _ends(self) -> list[EarlyEnd]:
        callbacks = callbacks_of(self.trainer)
        return [callback for callback in callbacks if isinstance(callback, EarlyEnd)]

    @property
    def _reason(self) -> str | None:
        """Why the run has ended before `max_steps`, if it has."""
        return next((end.reason for end in self._ends if end.over), None)


def early_ends(
    settings: Training, falling: Collection[str], rising: Collection[str]
) -> Callable[[Recorder], list[EarlyEnd]]:
    """What may end a run early, once there is a recorder to watch.

    Args:
        falling: names of a validation's metrics that are better the smaller they are.
        rising: of those that are better the larger they are.

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


def emulates_bfloat16() -> bool:
    """Whether the CPU is known to lack instructions for bfloat16."""
    read = getattr(torch.cpu, "get_capabilities", dict)  # not in older PyTorch
    capabilities: Mapping[str, Any] = read()
    known = [has for name, has in capabilities.items() if "bf16" in name]
    return bool(known) and not any(known)


def require_devices(settings: Training) -> None:
    """Refuse more devices than this machine has, before any data is read.

    Raises:
        UserError: there are fewer.
    """
    if device_for(settings).type == "cpu":
        check_cores(settings)
    elif settings.devices > (found := torch.cuda.device_count()):
        raise UserError(
            f"training.devices is {settings.devices}, and there are {found} GPUs here",
            f"give at most {found}",
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or this process has no more memory; PyTorch has no class for
    the CPU's own."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator" in str(error)


def refuse_lost_checkpoints(run: Run, rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse to begin again where a checkpoint was saved and none is left.

    Args:
        rows: of `metrics.csv`.

    Raises:
        UserError: the rows show that there was one.
    """
    step = validated_before_last(rows)
    if step is not None:
        raise UserError(
            f"{run.checkpoints} has no checkpoint, but {METRICS} says that the run "
            f"was validated at step {step} and saved",
            "restore a checkpoint from a copy, or begin again with another --run-dir",
        )


def validation_scorer(parts: Parts, limit: int) -> Scorer | None:
    """Answers the first `limit` validation rows and scores them with the task."""
    metrics = answer_metrics(parts.task)
    if not limit or not metrics:
        return None
    require_metrics(parts.task, metrics)

    def scorer(trainer: Trainer, harness: Harness) -> dict[str, float]:
        stop = next(c for c in callbacks_of(trainer) if isinstance(c, StopOnSignal))
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
        scores = score(parts.task, rows, answers.ids)
        # a program may end in time on one process and not on another
        return processes.gather(scores)[0]

    return scorer


def _imported(start: ResumePoint) -> Stored | None:
    """The weights from elsewhere that a run begins with, where it does."""
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
        "(--run-dir), or go on past such steps with training.on_nan=skip",
    )


def _announce(run: Run, harness: Harness, console: Console) -> None:
    parameters = sum(p.numel() for p in harness.model.parameters())
    size = f"  {parameters / 1e6:.2f} M parameters  {run.path}"
    console.print(
        Text.assemble((run.experiment.name, "bold"), size),
        soft_wrap=True,
    )
