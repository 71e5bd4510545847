"""Jobs of a sweep's runs: `xlmgen train`, then `xlmgen eval`; no torch."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from xlmgen.evaluation.request import EvaluationRequest
from xlmgen.io.locks import is_held
from xlmgen.runs.hardware import GPUS
from xlmgen.runs.run import lock_of
from xlmgen.sweeps.queue import Command, Job
from xlmgen.sweeps.state import is_evaluated, is_trained, mark_trained
from xlmgen.sweeps.sweep import SweepRun

VISIBLE, THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"


@dataclass(frozen=True, kw_only=True)
class SweepJob(Job):
    """The job of a run.

    Args:
        run: the run.
    """

    run: SweepRun


def job(run: SweepRun) -> SweepJob:
    """Make the job that trains a run and evaluates it."""
    train = Command(
        "training",
        train_command(run),
        partial(is_trained, run),
        after=partial(mark_trained, run),
    )
    evaluations = [
        Command(
            "evaluation",
            eval_command(run, request),
            partial(is_evaluated, run, request),
        )
        for request in run.evaluations
    ]
    return SweepJob(
        name=run.path.name,
        log=run.path.with_name(f"{run.path.name}.log"),
        commands=[train, *evaluations],
        is_busy=partial(is_held, lock_of(run.path)),
        run=run,
    )


def train_command(run: SweepRun) -> list[str]:
    """The command that trains a run or continues it."""
    program = [sys.executable, "-m", "xlmgen"]
    return [*program, "train", *run.arguments, "--run-dir", str(run.path)]


def eval_command(run: SweepRun, request: EvaluationRequest) -> list[str]:
    """The command that evaluates a trained run."""
    program = [sys.executable, "-m", "xlmgen"]
    options = [
        f"predictor.{key}={json.dumps(value)}"
        for key, value in request.predictor.items()
    ]
    return [*program, "eval", str(run.path), *options, "--split", request.split]


def environment(parallel: int, slot: int) -> Mapping[str, str]:
    """Environment variables of a worker's processes.

    Workers share the cores, and each has one GPU where there are several.

    Args:
        parallel: number of workers.
        slot: number of the worker, from 0.
    """
    given = dict(os.environ)
    given.setdefault(THREADS, str(max(1, cores() // parallel)))
    found = gpus(given)
    if parallel > 1 and len(found) > 1:
        given[VISIBLE] = found[slot % len(found)]
    return given


def gpus(variables: Mapping[str, str]) -> list[str]:
    """GPUs that a process with these environment variables may use."""
    if VISIBLE in variables:
        return [name for name in variables[VISIBLE].split(",") if name]
    return [str(n) for n, _ in enumerate(GPUS.iterdir())] if GPUS.is_dir() else []


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
