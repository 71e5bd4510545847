"""Callbacks that end a run before `max_steps`, and the metrics that they watch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection

from lightning.pytorch import Callback, LightningModule, Trainer

from xlmgen.errors import UserError
from xlmgen.spec.messages import did_you_mean


# Not Lightning's EarlyStopping: a run that has ended must say why when it is started
# again, and go on with a larger patience as if it had begun with that.
class EarlyEnd(Callback):
    """Makes the step of a validation the last one when a condition on it holds."""

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether the run has ended."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why it has ended, and how to go on."""

    @abstractmethod
    def update(self, step: int) -> None:
        """Take in the validation of this step."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.update(trainer.global_step)
        if self.over:
            # To every callback this step is then the last one: it is saved as such.
            trainer.fit_loop.epoch_loop.max_steps = trainer.global_step


def rises(
    key: str, metric: str, falling: Collection[str], rising: Collection[str]
) -> bool:
    """Whether larger values of a validation's metric are better.

    Args:
        key: the key of the experiment that names the metric, for the message.
        metric: its name in metrics.csv.
        falling: names of the loss and of the family's own metrics.
        rising: names of the scores of generated answers.

    Raises:
        UserError: a validation has no such metric.
    """
    known = [f"val/{name}" for name in (*falling, *rising)]
    if metric not in known:
        guess = did_you_mean(metric, known)
        raise UserError(
            f"{key}: a validation has no '{metric}'",
            f"{guess} it has {', '.join(known)}".strip(),
        )
    return metric in known[len(falling) :]
