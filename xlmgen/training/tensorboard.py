"""Logger of TensorBoard's event files; imports TensorBoard at the first metric."""

from __future__ import annotations

import threading
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from xlmgen.io.files import no_room, writing


# Not Lightning's TensorBoardLogger: it cannot hide the events after a checkpoint, and a
# full disk ends its writing thread without an error.
class TensorBoard(Logger):
    """Writes event files under a folder.

    Args:
        folder: the folder of the event files.
        upto: events of an earlier run after this step are hidden.
    """

    def __init__(self, folder: Path, upto: int = 0) -> None:
        super().__init__()
        self._folder = folder
        self._upto = upto
        self._writer: Any = None
        self._hook = threading.excepthook

    @property
    def name(self) -> str:
        return "tensorboard"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Do nothing: the run folder's experiment.yaml holds the hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        with writing(self._folder):
            if self._writer is None:
                self._open()
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # The library writes in a thread. An error there is also raised here at the
        # next metric, so the thread does not print it.
        self._hook, threading.excepthook = (
            threading.excepthook,
            self._say_unless_no_room,
        )
        self._writer = SummaryWriter(
            str(self._folder), purge_step=self._upto + 1 if self._upto else None
        )

    def _say_unless_no_room(self, args: threading.ExceptHookArgs) -> None:
        if no_room(args.exc_value) is None:
            self._hook(args)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        writer, self._writer = self._writer, None
        try:
            with writing(self._folder):
                if writer is not None and status == "success":
                    writer.flush()  # raises an error of the thread, if any
                if writer is not None:
                    writer.close()
        finally:
            if threading.excepthook == self._say_unless_no_room:
                threading.excepthook = self._hook
