"""Values that a shell completes: experiments, runs, families and keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from xlmgen.experiment.find import family_experiments
from xlmgen.registry import find_families
from xlmgen.spec.explain import ANY, Entry, explain
from xlmgen.spec.project import project_of
from xlmgen.tasks.find import find_tasks

VALUES = {
    "family": lambda: [found.name for found in find_families()],
    "task": lambda: [found.name for found in find_tasks()],
}
"""Override keys whose values are names."""


def experiments(incomplete: str) -> list[str]:
    """Names of experiments, YAML files and folders."""
    own = [path.stem for path in sorted(Path("experiments").glob("*.yaml"))]
    return _beginning([*own, *family_experiments()], incomplete) + _paths(
        incomplete, ".yaml"
    )


def runs(incomplete: str) -> list[str]:
    """Run folders: those in ./runs, and others as they are typed."""
    found = (path.parent.as_posix() for path in Path("runs").glob("*/experiment.yaml"))
    typed = [path for path in _paths(incomplete, "/") if not path.startswith("runs/")]
    return _beginning(sorted(found), incomplete) + typed


def families(incomplete: str) -> list[str]:
    """Folders of families in ./families, and others as they are typed."""
    found = (path.parent.as_posix() for path in Path("families").glob("*/family.yaml"))
    return _beginning(sorted(found), incomplete) or _paths(incomplete, "/")


def overrides(incomplete: str) -> list[str]:
    """Keys of an experiment, each with `=`, and names of families and tasks."""
    key, equals, value = incomplete.partition("=")
    if equals:
        names = VALUES[key]() if key in VALUES else []
        return [f"{key}={name}" for name in _beginning(names, value)]
    return [f"{key}=" for key in _beginning(_experiment_keys(), incomplete)]


def predictor_overrides(incomplete: str) -> list[str]:
    """Keys of a predictor, each with `=`."""
    return [f"{key}=" for key in _beginning(_predictor_keys(), incomplete)]


def explained(incomplete: str) -> list[str]:
    """Keys of families, tasks and experiments."""
    entries = explain("", project_of(Path()).schemas)
    keys = [entry.path for entry in entries] + [
        key for entry in entries for key in _keys(entry)
    ]
    if not incomplete.startswith(tuple(entry.path for entry in entries)):
        keys = [key.partition(".")[2] or key for key in keys]
    return _beginning(keys, incomplete)


def _experiment_keys() -> list[str]:
    (root,) = explain("experiment", project_of(Path()).schemas)
    keys = [key.removeprefix("experiment.") for key in _keys(root)]
    return [*keys, *_predictor_keys()]


def _predictor_keys() -> list[str]:
    found = explain("family.predictor", project_of(Path()).schemas)
    keys = (key for entry in found for key in _keys(entry))
    return [key.removeprefix("family.") for key in keys if not key.endswith(".kind")]


def _keys(entry: Entry) -> Iterator[str]:
    """Paths of the keys inside an entry, at all depths; names of users are left out."""
    for child in entry.children:
        if not child.path.endswith(ANY):
            yield child.path
            yield from _keys(child)


def _beginning(names: list[str], incomplete: str) -> list[str]:
    """Different names that begin so, in their order."""
    return list(dict.fromkeys(name for name in names if name.startswith(incomplete)))


def _paths(incomplete: str, ending: str) -> list[str]:
    """Folders, with a slash, and files of an ending that begin so."""
    folder, _, name = incomplete.rpartition("/")
    place = Path(f"{folder}/" if incomplete.startswith("/") else folder or ".")
    prefix = f"{folder}/" if folder or incomplete.startswith("/") else ""
    if not place.is_dir():
        return []
    found = sorted(entry.name + "/" * entry.is_dir() for entry in os.scandir(place))
    return [
        f"{prefix}{entry}"
        for entry in found
        if entry.startswith(name) and not entry.startswith(".")
        if entry.endswith(("/", ending))
    ]
