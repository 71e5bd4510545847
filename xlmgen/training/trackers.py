"""Log metrics to Weights & Biases and Trackio, under the names of metrics.csv."""

from __future__ import annotations

import importlib
import os
import secrets
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Experiment
from xlmgen.io.files import write_json
from xlmgen.io.json_input import Schema, read_object
from xlmgen.training.samples import COLUMNS, TAG

ID_FILE = "tracker.json"
"""File in the run folder with the run's id in trackers, independent of its folder."""
ID_SCHEMA: Schema = {"required": ["id"], "properties": {"id": {"type": "string"}}}


# Not Lightning's WandbLogger: one class serves both packages.
class Tracker(Logger):
    """A Lightning logger for packages with the interface of wandb.

    Args:
        package: `wandb` or `trackio`; imported when the run starts.
        experiment: gives the run its name and its configuration.
        folder: the run folder.
    """

    def __init__(self, package: str, experiment: Experiment, folder: Path) -> None:
        super().__init__()
        self._package = package
        self._experiment = experiment
        self._folder = folder
        self._run: Any = None

    @property
    def name(self) -> str:
        return self._package

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Do nothing: `begin` passes the experiment as configuration."""

    @rank_zero_only
    def begin(self) -> None:
        """Start the run, or continue the one with the id in the run folder.

        Raises:
            UserError: the package raises an error.
        """
        run_id, name = run_id_of(self._folder), self._experiment.name
        variable = f"{self._package.upper()}_PROJECT"
        options: dict[str, Any] = {
            "project": os.environ.get(variable) or "xlmgen",
            "config": dict(self._experiment.data),
            "resume": "allow",
        }
        if self._package == "wandb":
            # wandb would otherwise capture the terminal's output.
            options |= {"id": run_id, "name": name, "dir": str(self._folder)}
            options["settings"] = {"console": "off"}
        else:  # trackio identifies runs by name
            options["name"] = f"{name}-{run_id}"
        try:
            self._run = importlib.import_module(self._package).init(**options)
        except Exception as error:  # of any kind: an account, a network, a disk
            said = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"loggers: {self._package} could not start: {said}",
                f"fix this, leave {self._package} out of loggers"
                + (", or set WANDB_MODE=offline" if self._package == "wandb" else ""),
            ) from error

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._run.log(dict(metrics), step=step)

    @rank_zero_only
    def log_samples(self, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Log answers as a table of wandb; trackio's tables need pandas."""
        if self._package == "wandb":
            table = importlib.import_module("wandb").Table(
                columns=list(COLUMNS),
                data=[[row[key] for key in COLUMNS] for row in rows],
            )
            self._run.log({TAG: table}, step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None


def run_id_of(folder: Path) -> str:
    """Return the id of a run folder in trackers; it is drawn once and saved."""
    file = folder / ID_FILE
    if not file.is_file():
        write_json(file, {"id": secrets.token_hex(4)})
    fix = "delete it: the tracker then starts a new run under another name"
    name: str = read_object(file, fix, ID_SCHEMA)["id"]
    return name
