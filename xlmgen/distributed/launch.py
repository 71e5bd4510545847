"""Launchers and their environment variables; no torch.

`torchrun` and `srun` start every process. Without a launcher the first process prepares
the run, and Lightning then starts the others on the same machine.
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
"""Variable with the id of the first process, which Lightning's others inherit."""
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT")
PER_CORE = 2  # most processes per CPU core
PATIENCE = 10.0  # seconds to wait for an answer at the rendezvous


def by_torchrun() -> bool:
    return TORCHRUN in os.environ and _number("RANK") is not None


def by_srun() -> bool:
    known = None not in (_number(SRUN), _number("SLURM_PROCID"))
    return known and not by_torchrun()


def is_first() -> bool:
    """Whether this is the first process, which writes and reports for all."""
    if by_torchrun():
        return _number("RANK") == 0
    if by_srun():
        return _number("SLURM_PROCID") == 0
    return not _is_started()


def started() -> int | None:
    """Number of processes that the launcher started; None without a launcher."""
    if by_torchrun():
        return _number("WORLD_SIZE")
    return _number(SRUN) if by_srun() else None


def check_processes(training: Training) -> None:
    """Refuse a launcher that started a different number of processes than requested.

    Without a launcher, leftover variables of one are refused if they mean that there
    are other processes, for which Lightning would wait, and removed otherwise.

    Raises:
        UserError: the numbers differ, or there are leftover variables.
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
        check_rendezvous()


def check_alone(option: str) -> None:
    """Refuse an option for one process, if a launcher started several.

    Raises:
        UserError: there are several processes.
    """
    if (found := started()) is not None and found > 1:
        raise UserError(
            f"{option} is for one process, and the launcher started {found}",
            "run it without the launcher",
        )


def check_cores(training: Training) -> None:
    """Refuse many more processes than this machine has CPU cores.

    Raises:
        UserError: there are more than `PER_CORE` per core, which would be far slower
            than one process.
    """
    cores = os.cpu_count() or 1
    if training.devices > PER_CORE * cores:
        raise UserError(
            f"training.devices is {training.devices}, which is too many CPU processes "
            f"for {cores} cores",
            f"give at most {PER_CORE * cores}; one process uses all cores",
        )


def check_rendezvous() -> None:
    """Refuse leftover variables of a torchrun that has ended.

    Raises:
        UserError: nothing answers at the rendezvous address.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return  # the first process opens the address later
    address, port = (os.environ.get(name, "") for name in RENDEZVOUS)
    with suppress(OSError, ValueError):
        socket.create_connection((address, int(port)), timeout=PATIENCE).close()
        return
    raise UserError(
        f"MASTER_ADDR and MASTER_PORT name {address}:{port}, where nothing answers",
        f"unset {TORCHRUN} and RANK, which a torchrun left in the environment, or "
        "start this with torchrun",
    )


def _without_launcher(training: Training) -> None:
    """Check a process that no launcher started, and clear leftover variables."""
    if _is_started():
        return
    if training.num_nodes > 1:
        raise UserError(
            f"training.num_nodes is {training.num_nodes}, and no launcher started this "
            "process",
            "start it with torchrun or srun on every machine",
        )
    if os.environ.get(PARENT) != str(os.getpid()):  # otherwise this process set them
        left = list(_left_behind())
        if left:
            raise UserError(
                f"{' and '.join(left)} in the environment: this process would wait for "
                "others, but neither torchrun nor srun started it",
                f"run it with `env -u {' -u '.join(n.split('=')[0] for n in left)} …`, "
                "or start it with torchrun or srun",
            )
    for name in (*RANKS, *SIZES, *RENDEZVOUS):
        os.environ.pop(name, None)
    os.environ[PARENT] = str(os.getpid())


def _left_behind() -> Iterator[str]:
    """Variables that mean that this is one of several processes."""
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
