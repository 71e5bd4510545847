"""`xlmgen check`: report all problems of specs and their renders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import formats, printing
from xlmgen.errors import UserError
from xlmgen.io.files import real_path, rewrite_text
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.spec.diagnostics import Diagnostic, SpecError, errors
from xlmgen.spec.discover import discover, guess_kind
from xlmgen.spec.document import Document
from xlmgen.spec.fixes import Fix, add_modeline, fix_document
from xlmgen.spec.hooks import find_module, function_name, hooks, module_file
from xlmgen.spec.load import load_yaml
from xlmgen.spec.own_kinds import shown
from xlmgen.spec.project import project_of
from xlmgen.spec.schemas import COMPONENTS
from xlmgen.spec.validate import file_kind, validate
from xlmgen.terminal.output import say

FAMILIES = Path("families")


class Format(StrEnum):
    text = "text"
    json = "json"
    github = "github"
    sarif = "sarif"


@dataclass
class Checked:
    """Findings of a check over all files."""

    files: list[Path] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    notes: list[Diagnostic] = field(default_factory=list)  # informational
    diffs: list[str] = field(default_factory=list)

    def exit_code(self, *, strict: bool) -> int:
        """Return 1 if there are errors or, with `strict`, warnings; else 0."""
        failing = self.problems if strict else [p for p in self.problems if _fails(p)]
        return 1 if failing else 0

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Problems and notes, sorted by place."""
        return sorted([*self.problems, *self.notes])

    @property
    def summary(self) -> str:
        """Count the files and problems in one line."""
        files = _count(len(self.files), "file")
        if not self.problems:
            return f"{files} checked: no problems"
        failing = sum(map(_fails, self.problems))
        counts = [(failing, "error"), (len(self.problems) - failing, "warning")]
        listed = " and ".join(_count(n, word) for n, word in counts if n)
        return f"{files} checked: {listed}"


class Specs:
    """Files and their problems, each read once although many files name one family."""

    def __init__(self) -> None:
        self.known: dict[Path, tuple[Document, list[Diagnostic]]] = {}

    def read(self, path: Path) -> tuple[Document, list[Diagnostic]]:
        key = real_path(path)
        if key not in self.known:
            document = load_yaml(path)
            self.known[key] = document, validate(document, guess_kind(document))
        return self.known[key]


def check(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, or folders to search for specs; ./families by default.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="How to print the problems.")
    ] = Format.text,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what differs in rendered files.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with 1 on warnings, too, such as edited files."
        ),
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="First correct misspelt keys and values that have one possible "
            "meaning, and add an editor's schema line.",
        ),
    ] = False,
) -> int:
    """Check specs and renders, and report all problems at once.

    Validates families, tasks and experiments against their schemas, the components of a
    family against each other, and a rendered family against its spec. Notes, which do
    not fail the check, name components of the project's own kinds and functions that
    tasks run.

    Exit code 0: no problems; 1: problems found; 2: the check could not run.

    Example: xlmgen check families --diff
    """
    places = _default(paths)
    if fix:
        for done in fix_paths(places):
            where = sys.stdout if format is Format.text else sys.stderr
            say(f"fixed {done.file}:{done.line}  {done.text}", file=where)
    checked = check_paths(places)
    if format is Format.text:
        printing.print_problems(checked.diagnostics, file=sys.stdout)
        if diff:
            for part in checked.diffs:
                printing.print_diff(part)
        say(checked.summary)
    else:
        output = formats.FORMATS[format.value](checked.diagnostics)
        if output:
            print(output)
    return checked.exit_code(strict=strict)


def check_paths(paths: Iterable[Path]) -> Checked:
    """Check files and folders.

    Raises:
        UserError: a path does not exist, or a folder holds no spec.
    """
    checked = Checked()
    specs = Specs()
    experiments = []
    for path in discover(paths):
        checked.files.append(path)
        document, problems = specs.read(path)
        problems = problems + _folder_name(path, document)
        checked.problems += problems
        if not problems and file_kind(document) == "family":
            checked.notes += _own_kinds(document)
            _check_render(path, document, checked)
        if not problems and file_kind(document) == "task":
            _check_own_python(document, checked)
        if not problems and file_kind(document) == "experiment":
            experiments.append(document)
    for document in experiments:
        _check_experiment(document, specs, checked)
    # families of a project share the problems of its own kinds, and experiments
    # those of the files that they name
    checked.problems = sorted(set(checked.problems))
    checked.notes = sorted(set(checked.notes))
    return checked


def fix_paths(paths: Iterable[Path]) -> list[Fix]:
    """Fix the specs of files and folders; each file is rewritten atomically.

    Raises:
        UserError: a file cannot be written, or as `check_paths`.
    """
    fixes = []
    named = list(paths)
    for path in discover(named):
        if not _is_among(path, named):
            continue
        document = load_yaml(path)
        before = document.text
        fixed, done = fix_document(
            document, lambda read: validate(read, guess_kind(read))
        )
        if not _is_in_place(path):  # an added schema line would make its render stale
            fixed, more = add_modeline(fixed, path)
            done += more
        if done:
            rewrite_text(path, before, fixed.text)
            fixes += done
    return fixes


def _is_among(path: Path, named: Iterable[Path]) -> bool:
    """Whether a file is one of the named paths or inside one, links resolved."""
    real = real_path(path)
    return path in named or any(real.is_relative_to(real_path(n)) for n in named)


def _folder_name(path: Path, document: Document) -> list[Diagnostic]:
    """Return a problem if a family and its folder have different names."""
    name = (document.data or {}).get("name")
    folder = real_path(path).parent
    if not _is_in_place(path) or not isinstance(name, str) or name == folder.name:
        return []
    message = f"'{name}' is in a folder named '{folder.name}'"
    fix = "rename one of them: a family is imported by its folder's name"
    return [document.diagnostic("XG110", ("name",), message, fix)]


def _is_in_place(path: Path) -> bool:
    """Whether a file is the spec in a family's folder, not a free-standing one."""
    folder = real_path(path).parent
    rendered = (folder / LOCK).exists() or folder.parent.name == FAMILIES.name
    return path.name == SPEC and rendered


def _own_kinds(document: Document) -> Iterator[Diagnostic]:
    """Notes on the components of a valid family that the project's templates render."""
    data = document.data or {}
    components = {
        component: data[component]
        for component in COMPONENTS
        if data.get(component) is not None
    }
    names = ((component, options["kind"]) for component, options in components.items())
    for own in project_of(document.file).used(names):
        files = f"{shown(own.schema)} and {shown(own.template)}"
        message = f"'{own.name}' is a kind of the project's own: {files}"
        yield document.diagnostic("XG404", (own.component, "kind"), message)


def _own_python(document: Document) -> Iterator[Diagnostic]:
    """Notes on the project's functions that a valid task runs; none is imported."""
    for place, target in hooks(document.data):
        found = find_module(target, Path(document.file).parent)
        if found is None:
            message = f"there is no module {module_file(target)} in this project"
            yield document.diagnostic("XG406", place, message)
        else:
            message = f"runs {function_name(target)} of {shown(found[1])}"
            yield document.diagnostic("XG405", place, message)


def _check_render(path: Path, document: Document, checked: Checked) -> None:
    """Compare a family with its render; without one, test its own kinds' templates."""
    from xlmgen.render import render_files
    from xlmgen.render.drift import drift
    from xlmgen.spec.family import settle_family

    family = settle_family(document)
    if not _is_in_place(path) and not family.own_kinds:
        return
    try:
        rendered = render_files(family)
    except SpecError as error:
        checked.problems += error.diagnostics
        return
    if _is_in_place(path):
        result = drift(path.parent, rendered)
        checked.problems += result.problems
        checked.diffs += result.diffs


def _check_own_python(document: Document, checked: Checked) -> None:
    for found in _own_python(document):
        warns = found.severity == "warning"
        (checked.problems if warns else checked.notes).append(found)


def _check_experiment(document: Document, specs: Specs, checked: Checked) -> None:
    """Check that an experiment's family and task exist, are valid and fit it.

    Functions that the task runs are noted here as well, because training runs them.
    """
    from xlmgen.experiment.family_check import (
        check_packing,
        check_settings,
        family_folder,
    )
    from xlmgen.experiment.resolve import settle_document
    from xlmgen.tasks.find import task_path

    experiment = settle_document(document)
    sound: dict[str, Document] = {}

    def read(key: str, path: Path) -> None:
        found, problems = specs.read(Path(shown(path)))
        checked.problems += (wrong := errors(problems))
        if not wrong:
            sound[key] = found

    def look(key: str, find: Callable[[], object]) -> None:
        try:
            find()
        except UserError as error:
            first, _, rest = error.message.partition(": ")
            place: tuple[str, ...] = tuple(first.split("."))
            if place[:1] not in document.values:
                place, rest = (key,), error.message
            problem = document.diagnostic("XG202", place, rest, error.fix)
            checked.problems.append(problem)

    look("family", lambda: read("family", family_folder(experiment) / SPEC))
    look("task", lambda: read("task", task_path(experiment.task)))
    if family := sound.get("family"):
        look("family", lambda: check_settings(experiment, family))
    if task := sound.get("task"):
        _check_own_python(task, checked)
    if family and task:
        packing = (task.data or {}).get("packing", "none")
        look("task", lambda: check_packing(family, packing))


def _default(paths: Sequence[str] | None) -> list[Path]:
    if paths:
        return [Path(path) for path in paths]
    if FAMILIES.is_dir():
        return [FAMILIES]
    raise UserError(
        "there is no folder ./families here", "name the files or folders to check"
    )


def _fails(problem: Diagnostic) -> bool:
    return problem.severity == "error"


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
