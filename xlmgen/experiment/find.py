"""Find experiments by name: in the current folder, and in those of families."""

from __future__ import annotations

import os
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.files import visible
from xlmgen.registry import find_families, find_family
from xlmgen.spec.messages import did_you_mean, show

FOLDER = "experiments"
"""Of a project, and of every family."""


def experiment_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The YAML file of an experiment.

    A text that ends in .yaml or .yml, or names a file, is a path. Any other is a name:
    `graphs` is `experiments/graphs.yaml` in the current folder, and `mdlm/star_tiny` is
    the experiment `star_tiny` of the family `mdlm`.

    Raises:
        UserError: there is no experiment or family of that name.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    family, _, name = os.fspath(name_or_path).rpartition("/")
    if not family:
        return _named(
            name, Path(FOLDER), "in ./experiments", others=family_experiments()
        )
    if "/" in family or family in (".", "..", "~"):
        return path  # as a path its problem is said best
    place = find_family(family, pinned=False).folder / FOLDER
    return _named(name, place, f"of the family {family}")


def _named(name: str, folder: Path, where: str, others: tuple[str, ...] = ()) -> Path:
    known = {path.stem: path for path in visible(folder, "*.yaml")}
    if name in known:
        return known[name]
    fix = did_you_mean(name, [*known, *others])
    if known:
        fix = f"{fix} there are {', '.join(known)}".strip()
    else:
        fix = fix or "give the path of a YAML file, or FAMILY/TASK: mdlm/star_tiny"
    raise UserError(f"there is no experiment {show(name)} {where}", fix)


def family_experiments() -> tuple[str, ...]:
    """`FAMILY/NAME` of every experiment of a family."""
    return tuple(
        f"{found.name}/{path.stem}"
        for found in find_families(pinned=False)
        for path in visible(found.folder / FOLDER, "*.yaml")
    )
