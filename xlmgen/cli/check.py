"""`xlmgen check`: every problem of specs, and of renders that no longer match them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import formats, report
from xlmgen.errors import UserError
from xlmgen.io.files import real_path, rewrite_text
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.spec.diagnostics import Diagnostic, SpecError, errors
from xlmgen.spec.discover import discover, guess_kind
from xlmgen.spec.document import Document
from xlmgen.spec.fixes import Fix, add_modeline, mend
from xlmgen.spec.hooks import find_module, function_name, hooks, module_file
from xlmgen.spec.load import load_yaml
from xlmgen.spec.own_kinds import shown
from xlmgen.spec.project import project_of
from xlmgen.spec.schemas import BLOCKS
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
    """What a check found, over all files."""

    files: list[Path] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    notes: list[Diagnostic] = field(default_factory=list)  # what no problem is
    diffs: list[str] = field(default_factory=list)

    def exit_code(self, *, strict: bool) -> int:
        """1 where something is wrong; with `strict`, where anything is warned of."""
        failing = self.problems if strict else [p for p in self.problems if _fails(p)]
        return 1 if failing else 0

    @property
    def told(self) -> list[Diagnostic]:
        """Problems and notes, sorted by place."""
        return sorted([*self.problems, *self.notes])

    @property
    def summary(self) -> str:
        """One line: how many files, how many problems."""
        files = _count(len(self.files), "file")
        if not self.problems:
            return f"{files} checked: no problems"
        failing = sum(map(_fails, self.problems))
        counts = [(failing, "error"), (len(self.problems) - failing, "warning")]
        listed = " and ".join(_count(n, word) for n, word in counts if n)
        return f"{files} checked: {listed}"


class Specs:
    """Files and their problems, each read and validated once: many name one family."""

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
        bool, typer.Option("--strict", help="Let warnings, such as edits, fail.")
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="First mend misspelt keys and values that can mean one thing only, "
            "and add an editor's schema line.",
        ),
    ] = False,
) -> int:
    """Check specs and renders, and report all problems at once.

    Families, tasks and experiments are checked against their schemas, the blocks of a
    family against each other, and a rendered family against its spec. Blocks of kinds
    that are the project's own are noted, and so are functions that a task runs, which
    fails nothing.

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
        report.print_problems(checked.told, file=sys.stdout)
        if diff:
            for part in checked.diffs:
                report.print_diff(part)
        say(checked.summary)
    else:
        output = formats.FORMATS[format.value](checked.told)
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
    # families of one project share the problems of its own kinds, and experiments
    # those of what they name
    checked.problems = sorted(set(checked.problems))
    checked.notes = sorted(set(checked.notes))
    return checked


def fix_paths(paths: Iterable[Path]) -> list[Fix]:
    """Mend the specs of files and folders, each file whole or not at all.

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
        mended, done = mend(document, lambda read: validate(read, guess_kind(read)))
        if not _is_in_place(path):  # else a line more would make its render stale
            mended, more = add_modeline(mended, path)
            done += more
        if done:
            rewrite_text(path, before, mended.text)
            fixes += done
    return fixes


def _is_among(path: Path, named: Iterable[Path]) -> bool:
    """Whether a file was named or lies in a folder that was, and no link leads out."""
    real = real_path(path)
    return path in named or any(real.is_relative_to(real_path(n)) for n in named)


def _folder_name(path: Path, document: Document) -> list[Diagnostic]:
    """The problem of a family whose folder has another name, if that is so."""
    name = (document.data or {}).get("name")
    folder = real_path(path).parent
    if not _is_in_place(path) or not isinstance(name, str) or name == folder.name:
        return []
    message = f"'{name}' is in a folder named '{folder.name}'"
    fix = "rename one of them: a family is imported by its folder's name"
    return [document.diagnostic("XG110", ("name",), message, fix)]


def _is_in_place(path: Path) -> bool:
    """Whether a file is the spec in a family's folder, and not one on its own."""
    folder = real_path(path).parent
    rendered = (folder / LOCK).exists() or folder.parent.name == FAMILIES.name
    return path.name == SPEC and rendered


def _own_kinds(document: Document) -> Iterator[Diagnostic]:
    """What of a valid family is rendered by templates of its project."""
    data = document.data or {}
    blocks = {block: data[block] for block in BLOCKS if data.get(block) is not None}
    names = ((block, options["kind"]) for block, options in blocks.items())
    for own in project_of(document.file).used(names):
        files = f"{shown(own.schema)} and {shown(own.template)}"
        message = f"'{own.name}' is a kind of the project's own: {files}"
        yield document.diagnostic("XG404", (own.block, "kind"), message)


def _own_python(document: Document) -> Iterator[Diagnostic]:
    """What a valid task runs that is the project's own. None of it is imported."""
    for place, target in hooks(document.data):
        found = find_module(target, Path(document.file).parent)
        if found is None:
            message = f"there is no module {module_file(target)} in this project"
            yield document.diagnostic("XG406", place, message)
        else:
            message = f"runs {function_name(target)} of {shown(found[1])}"
            yield document.diagnostic("XG405", place, message)


def _check_render(path: Path, document: Document, checked: Checked) -> None:
    """Compare a rendered family; of another see that the project's own kinds render."""
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
    """What an experiment names that is not there, has problems or does not fit it.

    What a task that it names runs is noted here, too: training runs it.
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
