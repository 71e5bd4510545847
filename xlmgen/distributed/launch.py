"""What a launcher says about the processes that it started; no torch.

`torchrun` and `srun` start every process. Without either, Lightning starts the others
from the first one, once that has prepared the run; then there is one machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Training

TORCHRUN = "TORCHELASTIC_RUN_ID"
SRUN = "SLURM_STEP_NUM_TASKS"
PARENT = "XLMGEN_STARTED_BY"
"""The process that lets Lightning start others; they inherit the variable."""
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
MEETING = ("MASTER_ADDR", "MASTER_PORT")
PER_CORE = 2  # processes
PATIENCE = 10.0  # seconds to wait for an answer at the meeting point


def by_torchrun() -> bool:
    return TORCHRUN in os.environ and _number("RANK") is not None


def by_srun() -> bool:
    known = None not in (_number(SRUN), _number("SLURM_PROCID"))
    return known and not by_torchrun()


def is_first() -> bool:
    """Whether this process writes and reports for all of them."""
    if by_torchrun():
        return _number("RANK") == 0
    if by_srun():
        return _number("SLURM_PROCID") == 0
    return not _is_started()


def started() -> int | None:
    """How many processes the launcher started; None where there was none."""
    if by_torchrun():
        return _number("WORLD_SIZE")
    return _number(SRUN) if by_srun() else None


def check_processes(training: Training) -> None:
    """Refuse a launcher that started another number of processes than a run wants.

    Without a launcher, variables that one left behind are refused where they say that
    there are others, and removed where not: Lightning would wait for those others.

    Raises:
        UserError: processes would all write the same files, or wait for each other.
    """
    wanted, found = training.devices * training.num_nodes, started()
    if found is None:
        _without_launcher(training)
    elif found != wanted:
        raise UserError(
            f"training.devices × training.num_nodes is {wanted}, and the launcher "
            f"started {found} processes",
            "give both the same number, for example training.devices="
            f"{max(1, found // training.num_nodes)}",
        )
    elif by_torchrun() and found > 1:
        check_meeting()


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


def check_cores(training: Training) -> None:
    """Refuse many more processes than this machine has cores to train on.

    Raises:
        UserError: they would take minutes to begin, and far longer than one to train.
    """
    cores = os.cpu_count() or 1
    if training.devices > PER_CORE * cores:
        raise UserError(
            f"training.devices is {training.devices}, and on the CPU that is as many "
            f"processes, for {cores} cores",
            f"give at most {PER_CORE * cores}; one process uses all cores",
        )


def check_meeting() -> None:
    """Refuse variables of a torchrun that has ended: nobody would ever answer.

    Raises:
        UserError: nobody answers where its processes meet.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return  # the first process is yet to answer
    address, port = (os.environ.get(name, "") for name in MEETING)
    with suppress(OSError, ValueError):
        socket.create_connection((address, int(port)), timeout=PATIENCE).close()
        return
    raise UserError(
        f"MASTER_ADDR and MASTER_PORT name {address}:{port}, where nobody answers",
        f"unset {TORCHRUN} and RANK, which a torchrun left in the environment, or "
        "start this with torchrun",
    )


def _without_launcher(training: Training) -> None:
    if _is_started():
        return
    if training.num_nodes > 1:
        raise UserError(
            f"training.num_nodes is {training.num_nodes}, and no launcher started this "
            "process",
            "start it with torchrun or srun on every machine",
        )
    if os.environ.get(PARENT) != str(os.getpid()):  # else they are of this process
        left = list(_left_behind())
        if left:
            raise UserError(
                f"{' and '.join(left)} in the environment: others would be waited for, "
                "and neither torchrun nor srun started this process",
                f"run it with `env -u {' -u '.join(n.split('=')[0] for n in left)} …`, "
                "or start it with torchrun or srun",
            )
    for name in (*RANKS, *SIZES, *MEETING):
        os.environ.pop(name, None)
    os.environ[PARENT] = str(os.getpid())


def _left_behind() -> Iterator[str]:
    """Variables that say that this is one of several processes."""
    for names, alone in ((RANKS, 0), (SIZES, 1)):
        for name in names:
            if (number := _number(name)) is not None and number > alone:
                yield f"{name}={number}"


def _is_started() -> bool:
    """Whether Lightning started this process from the first one."""
    parent = os.environ.get(PARENT)
    return parent not in (None, str(os.getpid())) and bool(_number("LOCAL_RANK"))


def _number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None
