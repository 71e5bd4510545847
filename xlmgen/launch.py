"""What a launcher says about the processes that it started; no torch.

`torchrun` and `srun` start every process. Without either, Lightning starts the others
from the first one, once that has prepared the run.
"""

from __future__ import annotations

import os

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Training


def is_first() -> bool:
    """Whether this process writes and reports for all of them."""
    for name in ("RANK", "SLURM_PROCID"):
        if (number := _number(name)) is not None:
            return number == 0
    return not (_number("LOCAL_RANK") or _number("NODE_RANK"))


def started() -> int | None:
    """How many processes the launcher started; None where there was none."""
    size = "WORLD_SIZE" if _number("RANK") is not None else "SLURM_STEP_NUM_TASKS"
    return _number(size)


def check_processes(training: Training) -> None:
    """Refuse a launcher that started another number of processes than a run wants.

    Raises:
        UserError: it did; they would all write the same files, or wait for each other.
    """
    wanted, found = training.devices * training.num_nodes, started()
    if found is not None and found != wanted:
        raise UserError(
            f"training.devices × training.num_nodes is {wanted}, and the launcher "
            f"started {found} processes",
            "give both the same number, for example training.devices="
            f"{max(1, found // training.num_nodes)}",
        )


def check_alone(option: str) -> None:
    """Refuse what one process does, where a launcher started several.

    Raises:
        UserError: it did.
    """
    if (found := started()) is not None and found > 1:
        raise UserError(
            f"{option} is for one process, and the launcher started {found}",
            "run it without the launcher",
        )


def _number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None
