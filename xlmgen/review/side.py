"""The two sides of a review: the project at a commit and in the working tree."""

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
    """A spec of one side.

    Args:
        path: from the top of the repository, with forward slashes.
        kind: `family`, `task` or `experiment`.
        document: the parsed YAML.
        problems: errors by the side's own schemas.
        data: values with all defaults filled in; without defaults if there are errors.
        schemas: the schemas by which it was validated.
        project: the project whose own kinds it may use.
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
        """The spec's name; if it has none, the name of its folder or file."""
        named = self.data.get("name")
        if isinstance(named, str):
            return named
        path = PurePosixPath(self.path)
        return path.parent.name if path.name == SPEC else path.stem


class Side(Protocol):
    """Interface of both sides."""

    @property
    def schemas(self) -> Schemas:
        """Schemas of the side's specs, without those of a project's own kinds."""

    @property
    def specs(self) -> Mapping[str, Spec]:
        """The side's specs by path."""

    def render(self, family: Spec) -> Mapping[str, str] | None:
        """Return a family's files by path from its folder; None if it cannot render."""

    @property
    def has_other_layers(self) -> bool:
        """Whether the side's code of `xlmgen.runtime.nn` differs from the installed."""


@dataclass(frozen=True)
class Before:
    """The commit's side: specs by the commit's own schemas if any, and its renders.

    Args:
        commit: the files of the commit.
        places: files and folders to review, from the top of the repository.
        scratch: a folder with the schemas and templates of the commit at their paths.
    """

    commit: Commit
    places: tuple[str, ...]
    scratch: Path

    @cached_property
    def schemas(self) -> Schemas:
        return Schemas((self.scratch / "schemas",)) if self._is_ours else built_in()

    @cached_property
    def _is_ours(self) -> bool:
        """Whether the repository is xlmgen's own, with the schemas of all components.

        A project has only schemas of its own kinds and, for editors, of its files.
        """
        wanted = (*FILES, *(f"kinds/{component}" for component in COMPONENTS))
        schemas = self.scratch / "schemas"
        return all((schemas / f"{name}{SUFFIX}").is_file() for name in wanted)

    def _project(self, path: str) -> Project:
        found = project_of(self.scratch / path, self.scratch)
        is_xlmgen = self._is_ours and found.root == self.scratch
        return BUILT_IN if is_xlmgen else found

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
        """Whether the repository is xlmgen's own and the commit's layers differ."""
        return any(
            not same_code(text, _installed(path))
            for path, text in self.commit.files.items()
            if is_under(path, LAYERS) and path.endswith(".py")
        )


@dataclass(frozen=True)
class After:
    """The working tree's side: specs are rendered again, except files a user edited.

    Args:
        root: the top of the repository.
        places: files and folders to review, from the top of the repository.
        schemas: the installed schemas.
    """

    root: Path
    places: tuple[str, ...]
    schemas: Schemas
    has_other_layers = False  # runs use the installed layers

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
    """Return the text of an installed module of xlmgen; empty if it is missing."""
    file = LIBRARY.parent / path
    return file.read_text("utf-8") if file.is_file() else ""


def is_under(path: str, place: str) -> bool:
    """Whether a path equals a place or is inside it; `.` is the top."""
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
    """Write the schemas and templates of a commit to a folder, with their paths."""
    for path, text in commit.files.items():
        inside = {"schemas", "templates"} & set(PurePosixPath(path).parts[:-1])
        if inside and path.endswith((".json", ".jinja")) and is_inside(path):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
