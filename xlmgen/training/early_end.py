"""Callbacks that end a run before `max_steps`, and the metrics that they watch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection

from lightning.pytorch import Callback, LightningModule, Trainer

from xlmgen.errors import UserError
from xlmgen.spec.messages import did_you_mean


# Not Lightning's EarlyStopping: a run that has ended must give the reason when it is
# started again, and continue with a larger patience as if it had had that patience
# from the start.
class EarlyEnd(Callback):
    """Ends a run after a validation that meets a condition."""

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether the run has ended."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why the run has ended, and how to continue it."""

    @abstractmethod
    def update(self, step: int) -> None:
        """Update the condition with the validation of this step."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.update(trainer.global_step)
        if self.over:
            # Every callback then treats this step as the last one, and it is saved.
            trainer.fit_loop.epoch_loop.max_steps = trainer.global_step


def rises(
    key: str, metric: str, falling: Collection[str], rising: Collection[str]
) -> bool:
    """Whether larger values of a validation's metric are better.

    Args:
        key: the key of the experiment that names the metric, for the message.
        metric: the metric's name in metrics.csv.
        falling: names of the loss and of the family's own metrics.
        rising: names of the scores of generated answers.

    Raises:
        UserError: no metric of a validation has this name.
    """
    known = [f"val/{name}" for name in (*falling, *rising)]
    if metric not in known:
        guess = did_you_mean(metric, known)
        raise UserError(
            f"{key}: no metric of a validation is named '{metric}'",
            f"{guess} name one of {', '.join(known)}".strip(),
        )
    return metric in known[len(falling) :]
