"""Resolve an experiment's YAML and overrides to an `Experiment`, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError, shortened
from xlmgen.experiment.find import experiment_path
from xlmgen.experiment.overrides import (
    KeyPath,
    Override,
    apply_overrides,
    parse_override,
)
from xlmgen.experiment.settings import Experiment, is_path, settle, stem
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import Diagnostic, SpecError, errors
from xlmgen.spec.document import Document, dotted
from xlmgen.spec.load import load_yaml
from xlmgen.spec.messages import LONGEST
from xlmgen.spec.validate import validate

DEFAULT, COMMAND_LINE = "default", "command line"
SEED = "training.seed"


def resolve(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment, apply its overrides and fill in all defaults.

    Args:
        path: the YAML file, or the name of an experiment: see `experiment_path`.
        overrides: `key.path=value`, applied in order.

    Raises:
        SpecError: the file has problems; the exception has all of them.
        UserError: there is no such experiment, or an override has a problem.
    """
    document = load_yaml(experiment_path(path))
    if document.data is None:
        raise SpecError(document.problems)
    given = [parse_override(text) for text in overrides]
    merged = replace(document, data=apply_overrides(document.data, given))
    _refuse(errors(validate(merged, "experiment")), given)
    return settle_document(merged, given)


def settle_document(
    document: Document, overrides: Sequence[Override] = ()
) -> Experiment:
    """Return the experiment of a document without problems.

    Args:
        overrides: that were applied to its data already.
    """
    path = Path(document.file)
    data = fill_defaults(document.data, "experiment")
    origins = {
        dotted(keys): _origin(keys, document, overrides) for keys, _ in leaves(data)
    }
    for key in ("family", "task"):
        base = Path.cwd() if origins[key] == COMMAND_LINE else path.parent
        data[key] = _settled_path(data[key], base)
    if not data["name"] or origins["name"] != COMMAND_LINE:
        default = f"{stem(data['family'])}-{stem(data['task'])}-{data['size']}"
        parts = [data["name"] or default]
        if origins[SEED] == COMMAND_LINE:  # runs with other seeds have other folders
            parts.append(f"seed{data['training']['seed']}")
        data["name"] = "-".join(parts)
    return settle(data, origins, path)


def leaves(data: Mapping[str, Any], at: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield all values that are not mappings, with their paths."""
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*at, key))
        else:
            yield (*at, key), value


def _refuse(problems: list[Diagnostic], overrides: Sequence[Override]) -> None:
    """Raise an error: first for overrides, whose problems are not in the file."""
    for override in reversed(overrides):
        place = dotted(override.path)
        for problem in problems:
            inside = problem.path == place or problem.path.startswith(
                (f"{place}.", f"{place}[")
            )
            above = problem.path and place.startswith(f"{problem.path}.")
            if inside or above:
                typed = shortened(override.text, LONGEST)
                raise UserError(f"{typed}: {problem.message}", problem.fix)
    if problems:
        raise SpecError(problems)


def _origin(path: KeyPath, document: Document, overrides: Sequence[Override]) -> str:
    for override in reversed(overrides):
        if path[: len(override.path)] == override.path:  # overrides all earlier values
            given = override.holds(path[len(override.path) :])
            return COMMAND_LINE if given else DEFAULT
    if path in document.keys:
        return f"{document.file}:{document.keys[path].line}"
    return DEFAULT


def _settled_path(value: str, base: Path) -> str:
    return (base / value).resolve().as_posix() if is_path(value) else value
