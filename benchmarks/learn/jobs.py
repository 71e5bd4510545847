"""The commands of a run: train it, then evaluate it; each is done once. No torch."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.learn.decoding import arguments, one_token_per_pass, result_name
from benchmarks.learn.hardware import hardware, record
from benchmarks.learn.runs import EXPERIMENT, NUMBERS, ROWS, Run
from benchmarks.speed import venv
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import family_folder
from xlmgen.experiment.resolve import leaves
from xlmgen.experiment.settings import Experiment
from xlmgen.experiment.show import to_yaml
from xlmgen.io.files import write_text
from xlmgen.registry import SPEC
from xlmgen.runs.checkpoint_folder import best_step, checkpoints
from xlmgen.runs.folder import may_change
from xlmgen.spec.document import dotted
from xlmgen.spec.load import load_yaml
from xlmgen.sweeps.queue import Command, Job

ROOT = Path(__file__).parents[2]
THREADS = 1
PEER_FAMILIES = {
    "xlm-core": ("arlm", "mlm", "ilm", "mdlm", "flexmdm"),
    "gpt2": ("arlm",),
}
"""The families of ours that a peer has a model to put beside."""


@dataclass(frozen=True, kw_only=True)
class LearningJob(Job):
    """The job of a run of the benchmark.

    Args:
        run: the run.
        steps: number of optimiser steps.
    """

    run: Run
    steps: int


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Args:
        task: the name of the experiments' files, without `.yaml`.
        folder: of the task's runs.
        size: of the networks.
        settings: `key.path=value`, of every run.
        evaluate: whether to evaluate the test split.
        peer_folder: of the virtual environment of xlm-core.
    """

    task: str
    folder: Path
    size: str = "tiny"
    settings: Sequence[str] = ()
    evaluate: bool = True
    peer_folder: Path = field(default=ROOT / "benchmarks" / ".peer")

    def job(self, family: str, seed: int, peer: str = "") -> LearningJob:
        """The run of a family and seed, ours or a peer's.

        Raises:
            UserError: the experiment is not there, or a setting is wrong.
        """
        file = experiment_file(family, self.task)
        overrides = [f"size={self.size}", f"training.seed={seed}", *self.settings]
        experiment = resolve(file, overrides)
        run = Run.at(self.folder, family, seed, peer)
        made = {"": self._ours, "xlm-core": self._xlm_core, "gpt2": self._gpt2}[peer]
        return made(run, experiment, [str(file), *overrides])

    def _ours(self, run: Run, experiment: Experiment, given: list[str]) -> LearningJob:
        path = str(run.path)
        xlmgen = [sys.executable, "-m", "xlmgen"]
        train = Command(
            "training",
            [*xlmgen, "train", *given, "--run-dir", path],
            lambda: run.is_finished and not differing(run.path, experiment),
            before=partial(record_hardware, run),
        )
        commands = [train]
        if self.evaluate:
            commands += [
                Command(
                    "one token per pass" if options else "test split",
                    [*xlmgen, "eval", path, *arguments(options)],
                    partial(is_evaluated, run, options),
                )
                for options in ways_to_decode(experiment)
            ]
        return learning_job(run, experiment.training.max_steps, commands)

    def _xlm_core(
        self, run: Run, experiment: Experiment, given: list[str]
    ) -> LearningJob:
        steps, path = experiment.training.max_steps, str(run.path)
        worker = [str(venv.python(self.peer_folder)), "-m", "benchmarks.learn.peer"]
        commands = [
            Command(
                "rows",
                [sys.executable, "-m", "benchmarks.learn.export", path, *given],
                lambda: numbers(run).get("max_steps") == steps,
            ),
            Command(
                "training",
                [*worker, "train", path],
                lambda: run.step >= steps,
                partial(record_hardware, run, installed_torch(self.peer_folder)),
            ),
        ]
        if self.evaluate:
            commands.append(
                Command(
                    "test split",
                    [*worker, "evaluate", path],
                    lambda: (run.results() or {}).get("trained_to") == steps,
                )
            )
        return learning_job(
            run, steps, commands, partial(keep_experiment, run.path, experiment)
        )

    def _gpt2(self, run: Run, experiment: Experiment, given: list[str]) -> LearningJob:
        steps = experiment.training.max_steps
        train = Command(
            "training",
            [sys.executable, "-m", "benchmarks.learn.gpt2", str(run.path), *given],
            lambda: run.step >= steps,
            partial(record_hardware, run),
        )
        return learning_job(
            run, steps, [train], partial(keep_experiment, run.path, experiment)
        )


def learning_job(
    run: Run,
    steps: int,
    commands: Sequence[Command],
    prepare: Callable[[], None] = lambda: None,
) -> LearningJob:
    """Make the job of a run, with its log beside its folder."""
    return LearningJob(
        name=run.path.name,
        log=run.log,
        commands=commands,
        prepare=prepare,
        run=run,
        steps=steps,
    )


def record_hardware(run: Run, torch: str | None = None) -> None:
    """Record this machine among those that have trained a run.

    Args:
        torch: the version of PyTorch, if it is not ours.
    """
    record(run.hardware, hardware(THREADS, torch))


def experiment_file(family: str, task: str) -> Path:
    """The experiment of a family on a task.

    Raises:
        UserError: there is none.
    """
    path = ROOT / "families" / family / "experiments" / f"{task}.yaml"
    if not path.is_file():
        raise UserError(
            f"there is no experiment {path.relative_to(ROOT)}",
            "see families/*/experiments for the tasks",
        )
    return path


def families(task: str) -> list[str]:
    """The families with an experiment on a task."""
    found = ROOT.glob(f"families/*/experiments/{task}.yaml")
    return sorted(path.parents[1].name for path in found)


def ways_to_decode(experiment: Experiment) -> list[dict[str, Any]]:
    """Options of the predictor, for every evaluation of the test split."""
    task = load_task(experiment.task)
    if task.layout == "lm":  # there are no answers to compare with the true ones
        return [{}]
    spec = load_yaml(family_folder(experiment) / SPEC).data or {}
    predictor = {**spec["predictor"], **experiment.predictor}
    another = one_token_per_pass(predictor, task.max_length.answer)
    return [{}] if another is None else [{}, another]


def differing(folder: Path, experiment: Experiment) -> list[str]:
    """The settings of a run that a continued run cannot change and that differ."""
    there = dict(leaves(resolve(folder / EXPERIMENT).data))
    here = dict(leaves(experiment.data))
    return [
        dotted(keys)
        for keys in {**there, **here}
        if there.get(keys) != here.get(keys) and not may_change(keys)
    ]


def keep_experiment(folder: Path, experiment: Experiment) -> None:
    """Write the experiment into a peer's run folder.

    Raises:
        UserError: another one is there.
    """
    if (folder / EXPERIMENT).is_file() and (keys := differing(folder, experiment)):
        raise UserError(
            f"{folder} holds a run with another {', '.join(keys)}",
            "give it the same settings, or choose another folder with --runs",
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / EXPERIMENT, to_yaml(experiment))


def is_evaluated(run: Run, options: dict[str, Any]) -> bool:
    """Whether the checkpoint that `xlmgen eval` would choose has been evaluated."""
    folder = run.path / "checkpoints"
    found = run.results(result_name(options))
    step = best_step(folder) or max(checkpoints(folder), default=None)
    return found is not None and found["step"] == step


def numbers(run: Run) -> dict[str, Any]:
    """What a peer's run is told of its training; empty before the export."""
    path = run.path / NUMBERS
    if not path.is_file() or not (run.path / ROWS).is_file():
        return {}
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return told


def installed_torch(folder: Path) -> str | None:
    """The version of PyTorch in a virtual environment; None where there is none."""
    found = folder.glob("lib/python*/site-packages/torch-*.dist-info")
    return next((path.name[len("torch-") : -len(".dist-info")] for path in found), None)


def environment() -> dict[str, str]:
    """The environment of every command: one thread, and this repository's modules."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(THREADS),
        "PYTHONUNBUFFERED": "1",
        "TQDM_DISABLE": "1",
    }
