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
from xlmgen.render import render_files
from xlmgen.render.changes import State, changes
from xlmgen.render.lock import is_inside
from xlmgen.render.plan import LOCK
from xlmgen.review.git import Commit
from xlmgen.review.surface import same_code
from xlmgen.spec import own_kinds
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import Diagnostic, SpecError, errors
from xlmgen.spec.discover import SPEC, YAML, has_spec_line, is_skipped, specs
from xlmgen.spec.document import Document
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.spec.project import BUILT_IN, Project, project_of
from xlmgen.spec.schemas import COMPONENTS, FILES, SUFFIX, Schemas, built_in
from xlmgen.spec.validate import file_kind, validate

LAYERS = "xlmgen/runtime/nn"
LIBRARY = Path(__file__).resolve().parents[1]  # xlmgen itself


@dataclass(frozen=True)
class Spec:
    """A spec as one side has it.

    Args:
        path: from the top of the repository, with forward slashes.
        kind: `family`, `task` or `experiment`.
        problems: what is wrong with it, by the side's own schemas.
        data: with every default filled in, where nothing is wrong; else as it is.
        schemas: what it is written to.
        project: where its kinds come from.
    """

    path: str
    kind: str
    document: Document
    problems: tuple[Diagnostic, ...]
    data: Mapping[str, Any]
    schemas: Schemas
    project: Project

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    @property
    def name(self) -> str:
        """Its own, or where none can be read that of its folder or file."""
        named = self.data.get("name")
        if isinstance(named, str):
            return named
        path = PurePosixPath(self.path)
        return path.parent.name if path.name == SPEC else path.stem


class Side(Protocol):
    """What is asked of either side."""

    @property
    def schemas(self) -> Schemas:
        """The schemas that its specs are written to, but for a project's own kinds."""

    @property
    def specs(self) -> Mapping[str, Spec]:
        """Its specs by path."""

    def render(self, family: Spec) -> Mapping[str, str] | None:
        """A family's files by path from its folder; None where there can be none."""

    @property
    def has_other_layers(self) -> bool:
        """Whether it has layers of xlmgen whose code is not that of those installed."""


@dataclass(frozen=True)
class Before:
    """A commit: its specs, by its own schemas where it has some; its own renders.

    Args:
        scratch: a folder with the schemas and templates of the commit in their places.
    """

    commit: Commit
    places: tuple[str, ...]
    scratch: Path

    @cached_property
    def schemas(self) -> Schemas:
        return Schemas((self.scratch / "schemas",)) if self._is_ours else built_in()

    @cached_property
    def _is_ours(self) -> bool:
        """Whether the repository is that of xlmgen, with the schemas of all components.

        A project has those of its kinds, and of its files for editors.
        """
        wanted = (*FILES, *(f"kinds/{component}" for component in COMPONENTS))
        schemas = self.scratch / "schemas"
        return all((schemas / f"{name}{SUFFIX}").is_file() for name in wanted)

    def _project(self, path: str) -> Project:
        found = project_of(self.scratch / path, self.scratch)
        whole = self._is_ours and found.root == self.scratch
        return BUILT_IN if whole else found

    @cached_property
    def specs(self) -> Mapping[str, Spec]:
        found = (
            _spec(path, load_yaml(path, text), self.schemas, self._project(path))
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

    @cached_property
    def has_other_layers(self) -> bool:
        """Where the repository is that of xlmgen and the commit's layers differ."""
        return any(
            not same_code(text, _installed(path))
            for path, text in self.commit.files.items()
            if is_under(path, LAYERS) and path.endswith(".py")
        )


@dataclass(frozen=True)
class After:
    """The working tree: its specs, rendered anew but for files that a user edited."""

    root: Path
    places: tuple[str, ...]
    schemas: Schemas
    has_other_layers = False  # what runs is what is installed

    @cached_property
    def specs(self) -> Mapping[str, Spec]:
        found = {}
        for file in dict.fromkeys(self._files()):
            path = file.relative_to(self.root).as_posix()
            document = load_yaml(os.path.relpath(file))
            found[path] = _spec(path, document, self.schemas, project_of(file))
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


def _installed(path: str) -> str:
    """The text of a module of the installed xlmgen; empty where it has none such."""
    file = LIBRARY.parent / path
    return file.read_text("utf-8") if file.is_file() else ""


def is_under(path: str, place: str) -> bool:
    """Whether a path is a place or lies in it; `.` is the top."""
    return place == "." or path == place or path.startswith(f"{place}/")


def _spec(path: str, document: Document, schemas: Schemas, project: Project) -> Spec:
    kind = file_kind(document) or "family"
    broken: tuple[Diagnostic, ...] = ()
    if kind == "family" and project.root is not None:
        broken, schemas = own_kinds.problems(project), project.schemas
    problems = tuple(errors(broken or validate(document, kind, schemas)))
    data = document.data or {}
    if not problems:
        data = fill_defaults(data, schemas.schema(kind))
    return Spec(path, kind, document, problems, data, schemas, project)


def _render(family: Spec) -> Mapping[str, str] | None:
    try:
        return render_files(family_spec(family.document, family.project))
    except (SpecError, UserError):
        return None


def write_kinds(commit: Commit, folder: Path) -> None:
    """Write the schemas and templates of a commit to a folder, each in its place."""
    for path, text in commit.files.items():
        inside = {"schemas", "templates"} & set(PurePosixPath(path).parts[:-1])
        if inside and path.endswith((".json", ".jinja")) and is_inside(path):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
