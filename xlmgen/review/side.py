"""The two sides of a review: the project at a commit, and in the working tree."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from xlmgen.errors import UserError
from xlmgen.render import render
from xlmgen.render.changes import State, changes
from xlmgen.render.plan import LOCK
from xlmgen.review.git import Commit
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import Diagnostic, SpecError, errors
from xlmgen.spec.discover import SPEC, YAML, has_spec_line, is_skipped, specs
from xlmgen.spec.document import Document
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import Schemas, built_in
from xlmgen.spec.validate import file_kind, validate

LAYERS = "xlmgen/nn"
LIBRARY = Path(__file__).resolve().parents[1]  # xlmgen itself


@dataclass(frozen=True)
class Spec:
    """A spec as one side has it.

    Args:
        path: from the top of the repository, with forward slashes.
        kind: `family`, `task` or `experiment`.
        problems: what is wrong with it, by the side's own schemas.
        data: with every default filled in, where nothing is wrong; else as it is.
    """

    path: str
    kind: str
    document: Document
    problems: tuple[Diagnostic, ...]
    data: Mapping[str, Any]

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    @property
    def name(self) -> str:
        named = self.data.get("name")
        return named if isinstance(named, str) else PurePosixPath(self.path).stem


class Side(Protocol):
    """What is asked of either side."""

    @property
    def schemas(self) -> Schemas:
        """The schemas that its specs are written to."""

    @property
    def specs(self) -> Mapping[str, Spec]:
        """Its specs by path."""

    def render(self, family: Spec) -> Mapping[str, str] | None:
        """A family's files by path from its folder; None where there can be none."""

    def library(self, module: str) -> str | None:
        """The source of a module of xlmgen, by its dotted name."""


@dataclass(frozen=True)
class Before:
    """A commit: its specs, by its own schemas where it has some; its own renders."""

    commit: Commit
    places: tuple[str, ...]
    schemas: Schemas

    @cached_property
    def specs(self) -> Mapping[str, Spec]:
        found = (
            _spec(path, load_yaml(path, text), self.schemas)
            for path, text in self.commit.files.items()
            if path.endswith(YAML)
            and any(is_under(path, place) for place in self.places)
            and not any(map(is_skipped, PurePosixPath(path).parts[:-1]))
            and (PurePosixPath(path).name == SPEC or has_spec_line(text))
        )
        return {spec.path: spec for spec in found}

    def render(self, family: Spec) -> Mapping[str, str] | None:
        folder = f"{family.folder}/" if family.folder else ""
        if f"{folder}{LOCK}" not in self.commit.files:
            return _render(family)
        return {
            path.removeprefix(folder): text
            for path, text in self.commit.files.items()
            if path.startswith(folder)
        }

    def library(self, module: str) -> str | None:
        if not self._layers:
            return installed(module)
        path = module.replace(".", "/")
        files = self.commit.files
        return files.get(f"{path}.py") or files.get(f"{path}/__init__.py")

    @cached_property
    def has_other_layers(self) -> bool:
        """Whether the commit has layers of xlmgen, and not as they are installed."""
        return any(
            text != installed(path.removesuffix(".py").replace("/", "."))
            for path, text in self._layers.items()
        )

    @cached_property
    def _layers(self) -> Mapping[str, str]:
        """The modules of `xlmgen.nn`, where the repository is that of xlmgen."""
        files = self.commit.files.items()
        return {
            path.removesuffix("/__init__.py"): text
            for path, text in files
            if is_under(path, LAYERS) and path.endswith(".py")
        }


@dataclass(frozen=True)
class After:
    """The working tree: its specs, rendered anew but for files that a user edited."""

    root: Path
    places: tuple[str, ...]
    schemas: Schemas

    @cached_property
    def specs(self) -> Mapping[str, Spec]:
        found = {}
        for file in dict.fromkeys(self._files()):
            path = file.relative_to(self.root).as_posix()
            found[path] = _spec(path, load_yaml(os.path.relpath(file)), self.schemas)
        return found

    def _files(self) -> Iterable[Path]:
        for place in self.places:
            path = self.root / place
            yield from specs(path) if path.is_dir() else [path] * path.is_file()

    def render(self, family: Spec) -> Mapping[str, str] | None:
        rendered = _render(family)
        folder = self.root / family.folder
        if rendered is None or not (folder / LOCK).is_file():
            return rendered
        found = changes(folder, rendered)
        edited = {c.path: c.old or "" for c in found if c.state is State.EDITED}
        return {**rendered, **edited}

    def library(self, module: str) -> str | None:
        return installed(module)


def installed(module: str) -> str | None:
    """The source of a module of the xlmgen that runs; None of any other."""
    package, *inner = module.split(".")
    if package != LIBRARY.name:
        return None
    path = LIBRARY.joinpath(*inner)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file.read_text("utf-8")
    return None


def is_under(path: str, place: str) -> bool:
    """Whether a path is a place or lies in it; `.` is the top."""
    return place == "." or path == place or path.startswith(f"{place}/")


def _spec(path: str, document: Document, schemas: Schemas) -> Spec:
    kind = file_kind(document) or "family"
    problems = tuple(errors(validate(document, kind, schemas)))
    data = document.data or {}
    if not problems:
        data = fill_defaults(data, schemas.schema(kind))
    return Spec(path, kind, document, problems, data)


def _render(family: Spec) -> Mapping[str, str] | None:
    try:
        return render(family_spec(family.document))
    except (SpecError, UserError):
        return None


def own_schemas(commit: Commit, folder: Path) -> Schemas:
    """The schemas of a commit, written to a folder; the built-in ones without any."""
    found = {p: t for p, t in commit.files.items() if is_under(p, "schemas")}
    if "schemas/family.schema.json" not in found:
        return built_in()
    for path, text in found.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    return Schemas((folder / "schemas",))
