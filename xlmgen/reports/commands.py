"""Commands that make runs and their evaluations again, and what they ran with."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

from xlmgen.comparison.comparison import Comparison
from xlmgen.comparison.measured import Measured
from xlmgen.runs.run import Run

_NAMED = re.compile(r"(?:^|-)(checkpoint|limit|weights)=([\w.+]+)")
PACKAGES = ("xlmgen", "torch", "lightning", "python")


def commands(found: Comparison) -> Iterator[str]:
    """The training of every run, followed by its evaluations."""
    for run in found.runs:
        words = run.record.get("command", [])
        if isinstance(words, list) and words:
            yield shlex.join(map(str, words))
        for one in found.evaluations:
            if one.run.path == run.path:
                yield eval_command(one)


def eval_command(one: Measured) -> str:
    """The command of an evaluation, by its results and the name of their file."""
    known = one.run.experiment.predictor
    options = [
        f"predictor.{key}={json.dumps(value)}"
        for key, value in one.results["predictor"].items()
        if known.get(key) != value
    ]
    words = ["xlmgen", "eval", str(one.run.path), *options]
    words += ["--split", one.results["split"]]
    for key, value in _NAMED.findall(one.how):
        words += [f"--{key}", value]
    if "pseudo_likelihood" in one.results:
        words.append("--pseudo-likelihood")
    if "evaluator" in one.results:
        words += ["--evaluator", str(one.results["evaluator"])]
        words += ["--mauve"] * ("mauve" in one.results.get("samples", {}))
    if one.results.get("seed"):
        words += ["--seed", str(one.results["seed"])]
    return shlex.join(words)


def environments(found: Comparison) -> dict[str, list[str]]:
    """Versions and hardware of the runs, each with the names of its runs."""
    listed: dict[str, list[str]] = {}
    for run in found.runs:
        listed.setdefault(_environment(run), []).append(found.names[run.path])
    return listed


def _environment(run: Run) -> str:
    record, training = run.record, run.experiment.training
    versions = [f"{name} {record[name]}" for name in PACKAGES if name in record]
    machine = [str(record[key]) for key in ("platform", "hardware") if key in record]
    count = training.devices * training.num_nodes
    device = f"devices: {count} ({training.accelerator}), {training.precision}"
    return ", ".join([*versions, *machine, device])
