"""TensorBoard's event files, whose library is imported at the first number logged."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class TensorBoard(Logger):
    """Writes event files under a folder.

    Args:
        folder: where they go.
        upto: events of an earlier run after this step are hidden.
    """

    def __init__(self, folder: Path, upto: int = 0) -> None:
        super().__init__()
        self._folder = folder
        self._upto = upto
        self._writer: Any = None

    @property
    def name(self) -> str:
        return "tensorboard"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """The run folder's experiment.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(
                str(self._folder), purge_step=self._upto + 1 if self._upto else None
            )
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
