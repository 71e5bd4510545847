"""Find an experiment's family and check the experiment's settings against it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Experiment, is_path
from xlmgen.io.files import begin
from xlmgen.registry import SPEC, find_family
from xlmgen.spec.contracts import refusals
from xlmgen.spec.diagnostics import SpecError, errors
from xlmgen.spec.document import Document
from xlmgen.spec.load import load_yaml
from xlmgen.spec.messages import did_you_mean, show
from xlmgen.spec.project import project_of
from xlmgen.spec.schemas import Schemas
from xlmgen.spec.validate import validate

PACKINGS = ("packed", "documents", "none")


def family_folder(experiment: Experiment) -> Path:
    """Find the folder of an experiment's family.

    A path is used as it is. In the `experiments/` folder of a family, its name means
    that family; any other name is looked up.

    Raises:
        UserError: there is no such family.
    """
    if is_path(experiment.family):
        folder = Path(*begin(Path(), experiment.family))
        folder = folder.parent if folder.name == SPEC else folder
        if not (folder / SPEC).is_file():
            raise UserError(
                f"family: there is no {SPEC} in {folder}",
                "give the folder that `xlmgen new` wrote",
            )
        return folder
    home = experiment.file.resolve().parent.parent
    if home.name == experiment.family and (home / SPEC).is_file():
        return home
    return find_family(experiment.family, pinned=False).folder


def check_family(experiment: Experiment, folder: Path, packing: str = "none") -> None:
    """Validate the experiment's size, model and predictor against the family.

    Args:
        packing: of its task, validated against the family's collator.

    Raises:
        SpecError: the family's YAML has problems.
        UserError: a setting of the experiment is invalid for the family.
    """
    document = load_yaml(folder / SPEC)
    if problems := errors(validate(document, "family")):
        raise SpecError(problems)
    check_settings(experiment, document)
    check_packing(document, packing)


def check_settings(
    experiment: Experiment, document: Document, schemas: Schemas | None = None
) -> None:
    """Validate the experiment's size, model and predictor against a family's spec.

    Raises:
        UserError: a setting of the experiment is invalid for the family.
    """
    data: dict[str, Any] = deepcopy(document.data or {})
    sizes = data["sizes"]
    if experiment.size not in sizes:
        raise UserError(
            f"size: the family {data['name']} has no size {show(experiment.size)}",
            f"{did_you_mean(experiment.size, sizes)} sizes: {', '.join(sizes)}".strip(),
        )
    if not experiment.model and not experiment.predictor:
        return
    numbers = {k: v for k, v in experiment.model.items() if k != "dropout"}
    sizes[experiment.size] |= numbers
    data["predictor"] |= experiment.predictor
    for problem in errors(validate(replace(document, data=data), "family", schemas)):
        place = problem.path.replace(f"sizes.{experiment.size}", "model", 1)
        raise UserError(
            f"{place}: {problem.message}, in the family {data['name']}", problem.fix
        )


def check_packing(
    document: Document, packing: str, schemas: Schemas | None = None
) -> None:
    """Validate a task's packing against the collator of a family's spec.

    Args:
        schemas: with its kinds; by default those of its project.

    Raises:
        UserError: the collator does not support this packing.
    """
    if packing == "none":
        return  # all collators support one row per example
    data: dict[str, Any] = document.data or {}
    collator = data["collator"]
    schemas = schemas or project_of(document.file).schemas
    refused = refusals(collator, schemas.kind("collator", collator["kind"]))
    refused = {name.removeprefix("packing:"): why for name, why in refused.items()}
    if packing in refused:
        others = [name for name in PACKINGS if name not in refused]
        raise UserError(
            f"task: the family {data['name']} does not support packing: {packing}; "
            f"{refused[packing]}",
            f"set packing: {' or '.join(others)} in the task",
        )
