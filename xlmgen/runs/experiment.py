"""An experiment that fits its family and its task; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xlmgen.data.task import load_task
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import check_family, family_folder
from xlmgen.experiment.settings import Experiment


def resolve_checked(experiment: str | Path, overrides: Sequence[str]) -> Experiment:
    """Resolve an experiment and check it with its family and task, without torch.

    Raises:
        SpecError: one of the three YAML files has problems.
        UserError: an override has a problem, a file is missing, or they do not fit.
    """
    resolved = resolve(experiment, overrides)
    folder = family_folder(resolved)
    check_family(resolved, folder, load_task(resolved.task).packing)
    return resolved
