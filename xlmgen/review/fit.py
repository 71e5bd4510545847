"""Check that an experiment fits its family and its task on one side."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from xlmgen.errors import UserError
from xlmgen.experiment.family_check import check_packing, check_settings
from xlmgen.experiment.settings import is_path, settle
from xlmgen.registry import find_family
from xlmgen.review.side import Side, Spec
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import errors
from xlmgen.spec.discover import SPEC
from xlmgen.spec.document import Document
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import Schemas
from xlmgen.spec.validate import validate
from xlmgen.tasks.find import task_path


def experiments_on(spec: Spec, side: Side) -> Iterator[Spec]:
    """Yield a side's experiments with this family or task."""
    for other in side.specs.values():
        if other.kind == "experiment" and names(other, spec):
            yield other


def names(experiment: Spec, spec: Spec) -> bool:
    """Whether an experiment's `family:` or `task:` refers to this spec."""
    named = str(experiment.data.get(spec.kind))
    if not is_path(named):
        file = PurePosixPath(spec.path).stem
        return named == (spec.name if spec.kind == "family" else file)
    path = posixpath.normpath(posixpath.join(experiment.folder, named))
    return spec.path in (path, f"{path}/{SPEC}")


def misfit(experiment: Spec, side: Side, *, family: Spec | None = None) -> str:
    """Describe why an experiment does not fit its family or task; empty if it fits.

    A family or a task that neither the side nor this xlmgen has is not checked.

    Args:
        experiment: the experiment.
        side: the side whose families and tasks are used.
        family: replaces the experiment's family, for a renamed or moved one.
    """
    document = experiment.document
    if problems := errors(validate(document, "experiment", side.schemas)):
        return problems[0].text
    data = fill_defaults(document.data, side.schemas.schema("experiment"))
    found = _family(experiment, side) if family is None else _known(family)
    if found is None:
        return ""
    try:
        check_settings(settle(data, {}, Path(experiment.path)), *found)
        check_packing(found[0], _packing(experiment, side), found[1])
    except UserError as error:
        return error.message
    return ""


def _known(family: Spec) -> tuple[Document, Schemas] | None:
    return None if family.problems else (family.document, family.schemas)


def _family(experiment: Spec, side: Side) -> tuple[Document, Schemas] | None:
    for spec in side.specs.values():
        if spec.kind == "family" and names(experiment, spec):
            return _known(spec)
    named = str(experiment.data.get("family"))
    if is_path(named):
        return None
    try:
        document = load_yaml(find_family(named, pinned=False).folder / SPEC)
    except UserError:
        return None
    valid = not errors(validate(document, "family", side.schemas))
    return (document, side.schemas) if valid else None


def _packing(experiment: Spec, side: Side) -> str:
    """Return the packing of an experiment's task; `none` if it cannot be read."""
    for spec in side.specs.values():
        if spec.kind == "task" and names(experiment, spec):
            return "none" if spec.problems else str(spec.data["packing"])
    named = str(experiment.data.get("task"))
    if is_path(named):
        return "none"
    try:
        data = load_yaml(task_path(named)).data or {}
    except UserError:
        return "none"
    return str(data.get("packing", "none"))
