"""A sweep's YAML, and the runs that it describes; no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.evaluation.predictor_options import changed_predictor
from xlmgen.evaluation.request import EvaluationRequest
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import family_folder
from xlmgen.experiment.find import experiment_path
from xlmgen.experiment.settings import Experiment, stem
from xlmgen.registry import SPEC
from xlmgen.runs.experiment import resolve_checked
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import SpecError, errors
from xlmgen.spec.load import load_yaml
from xlmgen.spec.messages import show
from xlmgen.spec.validate import validate

MOST_RUNS = 10_000


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Args:
        path: its folder.
        experiment: resolved, with the sweep's settings and the run's seed.
        arguments: of `xlmgen train`: the experiment's file and the overrides.
        evaluations: of the trained run, in their order.
    """

    path: Path
    experiment: Experiment
    arguments: tuple[str, ...]
    evaluations: tuple[EvaluationRequest, ...]


@dataclass(frozen=True)
class Sweep:
    """A sweep that has been read and checked.

    Args:
        name: of the sweep.
        runs: by seed, then by experiment, so that a sweep that is stopped early has
            runs of every experiment.
    """

    name: str
    runs: tuple[SweepRun, ...]


def read_sweep(file: Path, folder: Path) -> Sweep:
    """Read and check a sweep, its experiments, families, tasks and settings.

    Args:
        file: the YAML file.
        folder: the sweep's folder is made here; `runs` on the command line.

    Raises:
        SpecError: the file, or a file that it names, has problems.
        UserError: a setting is wrong, an experiment is missing, or two runs would have
            the same folder.
    """
    document = load_yaml(file)
    if problems := errors(validate(document, "sweep")):
        raise SpecError(problems)
    data = fill_defaults(document.data, "sweep")
    name = data["name"] or file.stem
    files = list(_experiment_files(data, file.parent))
    count = len(files) * len(data["seeds"])
    for values in data["vary"].values():
        count *= len(values)
    if count > MOST_RUNS:
        raise UserError(
            f"{file} describes {count:,} runs", f"at most {MOST_RUNS:,} are possible"
        )
    runs: dict[Path, SweepRun] = {}
    for seed, path, varied in product(data["seeds"], files, _combinations(data)):
        run = _run(folder / name, path, varied, seed, data)
        if run.path in runs:
            raise UserError(
                f"{path} and {runs[run.path].experiment.file} would both be {run.path}",
                "give one of the experiments a name",
            )
        runs[run.path] = run
    families = {stem(run.experiment.family) for run in runs.values()}
    for family in data["evaluate_by_family"]:
        if family not in families:
            raise UserError(
                f"evaluate_by_family: the sweep has no runs of {show(family)}",
                f"its families are {', '.join(sorted(families))}",
            )
    return Sweep(name, tuple(runs.values()))


def _experiment_files(data: Mapping[str, Any], base: Path) -> Iterator[Path]:
    """The experiments that are listed, then those of families on tasks."""
    for listed in data["experiments"]:
        path = base / Path(listed).expanduser()
        if not path.is_file():
            raise UserError(f"experiments: there is no file {path}")
        yield path
    for family, task in product(data["families"], data["tasks"]):
        yield experiment_path(f"{family}/{task}")


def _combinations(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All combinations of the values that vary."""
    names, values = data["vary"].keys(), data["vary"].values()
    return [dict(zip(names, chosen, strict=True)) for chosen in product(*values)]


def _run(
    folder: Path, file: Path, varied: Mapping[str, Any], seed: int, data: dict[str, Any]
) -> SweepRun:
    given = {**data["settings"], **varied}
    overrides = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    name = resolve(file, overrides).name
    parts = [f"{key.rpartition('.')[2]}={value}" for key, value in varied.items()]
    safe = [re.sub(r"[^\w.=+]+", "_", part) for part in [*parts, f"seed{seed}"]]
    overrides.append(f"training.seed={seed}")
    experiment = resolve_checked(file, overrides)
    document = load_yaml(family_folder(experiment) / SPEC)
    chosen = data["evaluate_by_family"].get(stem(experiment.family), data["evaluate"])
    for options in chosen:
        changed_predictor(document, {**experiment.predictor, **options})
    return SweepRun(
        folder / "-".join([name, *safe]),
        experiment,
        (str(file), *overrides),
        tuple(EvaluationRequest(split=data["split"], predictor=one) for one in chosen),
    )
