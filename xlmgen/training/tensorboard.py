"""Logger of TensorBoard's event files; imports TensorBoard at the first metric."""

from __future__ import annotations

import json
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from xlmgen.io.files import no_room, writing
from xlmgen.terminal.escape import markdown
from xlmgen.training.samples import COLUMNS, TAG

HEADLINE = "val/loss"
"""The metric of the hyper-parameters' table."""


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
        self._hyperparams: dict[str, Any] = {}
        self._writer: Any = None
        self._hook = threading.excepthook

    @property
    def name(self) -> str:
        return "tensorboard"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Show settings in the tab HPARAMS, from the first metric on.

        Args:
            params: a mapping that may be nested; keys are joined by dots.
        """
        self._hyperparams = dict(flat(params if isinstance(params, dict) else {}))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        with writing(self._folder):
            if self._writer is None:
                self._open()
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)

    @rank_zero_only
    def log_samples(self, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Show answers as a table in the tab TEXT."""
        with writing(self._folder):
            if self._writer is None:
                self._open()
            self._writer.add_text(TAG, markdown_table(rows), step)

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # The library writes in a thread. An error there is also raised here at the
        # next metric, so the thread does not print it.
        self._hook, threading.excepthook = (
            threading.excepthook,
            self._say_unless_no_room,
        )
        self._writer = SummaryWriter(
            str(self._folder), purge_step=self._upto + 1 if self._upto else None
        )
        if self._hyperparams:
            # `add_hparams` would write a run of its own into a folder below.
            made: Any = hparams
            for summary in made(self._hyperparams, {HEADLINE: 0.0}):
                self._writer.file_writer.add_summary(summary)

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


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted key; those that are no text, number or boolean as JSON."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{name}.")
        elif isinstance(value, str | int | float):
            yield name, value
        else:
            yield name, json.dumps(value, ensure_ascii=False)


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Answers as a table of Markdown."""
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [[markdown(row[key]) for key in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
