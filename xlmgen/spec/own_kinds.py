"""Validate a project's own kinds without rendering them.

xlmgen's tests check the built-in kinds; these checks do the same for a project's kinds
and report diagnostics.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from xlmgen import resources
from xlmgen.errors import shortened
from xlmgen.io import bounded
from xlmgen.io.files import is_plain, without_parents
from xlmgen.io.json_input import InvalidJson, parse_json
from xlmgen.io.json_schema import Schema, known_keywords, unknown_keywords
from xlmgen.spec import kit, likelihood
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document, Span, diagnose
from xlmgen.spec.kind_rules import rules
from xlmgen.spec.load import MAX_BYTES, load_yaml
from xlmgen.spec.messages import did_you_mean, show
from xlmgen.spec.project import (
    KINDS,
    TEMPLATE_SUFFIX,
    TEMPLATES,
    OwnKind,
    Project,
    links_out,
    own_files,
)
from xlmgen.spec.schemas import COMPONENTS, GENERATOR, SUFFIX, built_in

NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST_COMPLAINT = 200  # characters of a message of jsonschema
MOST = 100
"""Maximum number of problems that are reported of one schema."""


@cache
def problems(project: Project) -> tuple[Diagnostic, ...]:
    """Find all problems of a project's own kinds, sorted by place.

    They are read in a process with limited time and memory.
    """
    if project.root is None:
        return ()
    try:
        found = bounded.call(find_problems, project)
    except bounded.OutOfBounds as error:
        place = Path(error.place) if error.place else project.root
        code = "XG402" if place.name.endswith(TEMPLATE_SUFFIX) else "XG401"
        return (
            problem_at(place, code, f"it cannot be read: {error}", "write it simpler"),
        )
    return tuple(Diagnostic(**problem) for problem in found)


def find_problems(project: Project) -> list[dict[str, Any]]:
    """Find the problems, in the limited process, as data for JSON."""
    return [asdict(problem) for problem in _problems(project)]


def _problems(project: Project) -> list[Diagnostic]:
    assert project.root is not None
    if links := links_out(project.root):
        return sorted(map(_link, links))  # nothing else is read
    found = [*_misplaced(project, project.root), *_shadows(project.root)]
    for kind in project.kinds.values():
        bounded.report(str(kind.schema))
        found += _of_schema(project, kind)
        bounded.report(str(kind.template))
        found += _of_template(kind)
    return sorted(found)


def shown(path: Path) -> str:
    """Format a path for messages, relative to the current folder if inside it."""
    plain = without_parents(path)
    inside = os.path.relpath(plain)
    return str(plain) if inside.startswith(os.pardir) else inside


def problem_at(
    path: Path, code: str, message: str, fix: str = "", line: int = 1
) -> Diagnostic:
    """Make a diagnostic at a line of a file."""
    text = _text(path)
    lines = [] if text is None else text.splitlines()
    excerpt = lines[line - 1] if line <= len(lines) else ""
    span = Span(line, 1, line, len(excerpt) + 1)
    return diagnose(shown(path), lines, span, code, "", message, fix)


def _link(path: Path) -> Diagnostic:
    code = "XG401" if KINDS.parts[0] in path.parts else "XG402"
    message = "this link leads out of the folder of the project's kinds"
    fix = "put a copy of the file in its place"
    return diagnose(shown(path), [], Span(1, 1, 1, 1), code, "", message, fix)


def _is_copy(folder: Path) -> bool:
    """Whether a folder of generators has built-in ones only, as copied schemas do."""
    names = {path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")}
    return names <= set(built_in().kinds(GENERATOR))


def _misplaced(project: Project, root: Path) -> Iterator[Diagnostic]:
    """Report schemas and templates that belong to no kind."""
    for folder in sorted((root / KINDS).glob("*/")):
        if folder.name == GENERATOR and _is_copy(folder):
            continue
        if folder.is_dir() and folder.name not in COMPONENTS:
            guess = did_you_mean(folder.name, COMPONENTS)
            message = f"there is no component '{folder.name}'"
            fix = f"{guess} components: {', '.join(COMPONENTS)}".strip()
            yield problem_at(folder, "XG401", message, fix)
    for component in COMPONENTS:
        for path in sorted((root / TEMPLATES / component).glob(f"*{TEMPLATE_SUFFIX}")):
            name = path.name.removesuffix(TEMPLATE_SUFFIX)
            built_in_path = resources.root() / path.relative_to(root)
            if (component, name) not in project.kinds and not built_in_path.is_file():
                schema = root / KINDS / component / f"{name}{SUFFIX}"
                fix = f"write {shown(schema)}, or rename one of the two"
                yield problem_at(path, "XG402", "the template has no schema", fix)


def _shadows(root: Path) -> Iterator[Diagnostic]:
    """Report files with the path of a built-in file and another text.

    Files with the same text are copies, such as those of `xlmgen schemas`.
    """
    for path in own_files(root):
        built_in_path = resources.root() / path.relative_to(root)
        index = path.parent == root / KINDS  # written from a listing
        if (
            built_in_path.is_file()
            and not index
            and _text(path) != _text(built_in_path)
        ):
            what = "schema" if path.suffix == ".json" else "template"
            message = f"xlmgen has a {what} of this name: {built_in_path}"
            fix = "rename yours: a spec must mean the same in every project"
            yield problem_at(path, "XG403", message, fix)


def _of_schema(project: Project, kind: OwnKind) -> list[Diagnostic]:
    path = kind.schema
    if not NAME.fullmatch(kind.name):
        message = f"'{kind.name}' is not a valid name of a kind"
        return [
            problem_at(path, "XG401", message, "use lower-case letters, digits and _")
        ]
    text = _text(path)
    if text is None:
        return [_no_text(path, "XG401")]
    try:
        data = parse_json(text)
    except InvalidJson as error:
        wrong = error.__cause__
        if not isinstance(wrong, json.JSONDecodeError):
            return [problem_at(path, "XG401", f"the file {error}")]
        line = wrong.lineno
        span = Span(line, wrong.colno, line, wrong.colno + 1)
        message = f"this is not JSON: {wrong.msg}"
        lines = text.splitlines()
        return [diagnose(shown(path), lines, span, "XG401", "", message)]
    if not isinstance(data, dict):
        return [problem_at(path, "XG401", "a schema is an object: { … }")]
    # JSON without tabs is YAML, and the YAML reader knows the line of every value
    document = load_yaml(shown(path), text.replace("\t", " "))
    try:
        found = list(islice(_complaints(document, data, kind), MOST))
    except (RecursionError, OverflowError) as error:  # from reading a pattern
        return [problem_at(path, "XG401", f"a pattern cannot be read: {error}")]
    return found or list(_unfilled(project, kind, text))


def _complaints(
    document: Document, data: Schema, kind: OwnKind
) -> Iterator[Diagnostic]:
    """Report what is not valid JSON Schema, or not valid for a kind."""
    from jsonschema import Draft202012Validator as Draft

    for place in unknown_keywords(data):
        word = str(place[-1])
        message = f"{show(word)} is not a keyword of a schema"
        fix = did_you_mean(word, known_keywords()) or "write a note under $comment"
        yield document.diagnostic("XG401", place, message, fix, key=True)
    for schema in (Draft.META_SCHEMA, rules(kind)):
        known = Draft(schema, format_checker=Draft.FORMAT_CHECKER)
        found = sorted(known.iter_errors(data), key=lambda error: str(error.path))
        for error in found:
            place = tuple(error.absolute_path)
            yield document.diagnostic("XG401", place, *_words(error))
        if found:
            return
    for number, entry in enumerate(data["x-tests"]):
        suite = entry if isinstance(entry, str) else entry["suite"]
        for message, fix in _of_suite(suite, kind, data):
            yield document.diagnostic("XG401", ("x-tests", number), message, fix)
    if kind.component == "loss":
        yield from _gives(document, data)


def _of_suite(suite: str, kind: OwnKind, data: Schema) -> Iterator[tuple[str, str]]:
    """Report a suite that the kit lacks, or that reads options that the kind lacks."""
    if ":" not in suite and suite not in kit.suites():
        fix = did_you_mean(suite, kit.suites())
        message = f"xlmgen.testing has no '{suite}'"
        yield message, fix or "write package.module:Class for yours"
        return
    for component, option in sorted(kit.reads(suite)):
        if component == kind.component and option not in data["properties"]:
            message = f"{suite} reads the option '{option}', which the kind lacks"
            yield message, "add the option, or leave out the suite"


def _gives(document: Document, data: Schema) -> Iterator[Diagnostic]:
    """Report entries of `x-likelihood` that name no output, or that may not apply."""
    place, outputs = "x-likelihood", {entry["name"] for entry in data["x-output"]}
    entries = likelihood.entries(data)
    for number, entry in enumerate(entries):
        for name in {entry.sum, entry.count} - outputs:
            message = f"the loss has no output {show(name)}"
            fix = did_you_mean(name, outputs) or "list it under x-output"
            yield document.diagnostic("XG401", (place, number), message, fix)
    if entries[-1].when or entries[-1].capability:
        message = "the last entry has a condition, so there may be none that applies"
        fix = "end with an entry without when and capability"
        yield document.diagnostic("XG401", (place, len(entries) - 1), message, fix)


def _words(error: Any) -> tuple[str, str]:
    """Format an error of jsonschema, with a fix if one is known."""
    if error.validator == "required" and "x-tests" in error.message:
        return "missing key 'x-tests'", "name the suites, such as [PredictorTests]"
    if error.validator == "required" and "x-likelihood" in error.message:
        fix = 'write ["exact"], ["bound"] or [{"gives": "none", "metric": …, …}]'
        return "missing key 'x-likelihood'", fix
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        if list(error.absolute_path) == ["properties"] and missing != ["kind"]:
            message = f"the kind has no option '{missing[-1]}'"
            return message, "other components read it: docs/own-kinds.md"
        return f"missing key '{missing[0]}'", ""
    if list(error.absolute_path)[-1:] == ["additionalProperties"]:
        return "the options must be closed", 'write "additionalProperties": false'
    return shortened(" ".join(str(error.message).split()), LONGEST_COMPLAINT), ""


def _unfilled(project: Project, kind: OwnKind, text: str) -> Iterator[Diagnostic]:
    """Report a `$ref` whose target does not exist or is circular."""
    try:
        project.schemas.kind(kind.component, kind.name)
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"the target of a $ref cannot be read: {error}"
    except RecursionError:
        reason = "a $ref refers to itself"
    else:
        return
    line = text[: text.find('"$ref"')].count("\n") + 1
    yield problem_at(kind.schema, "XG401", reason, "correct it, or write it out", line)


def _of_template(kind: OwnKind) -> Iterator[Diagnostic]:
    from jinja2 import Environment, TemplateSyntaxError

    path = kind.template
    if not path.is_file():
        message = f"the kind '{kind.name}' has no template"
        yield problem_at(kind.schema, "XG402", message, f"write {shown(path)}")
        return
    text = _text(path)
    if text is None:
        yield _no_text(path, "XG402")
        return
    try:
        Environment().parse(text)
    except TemplateSyntaxError as error:
        message = f"this is not a Jinja template: {error.message}"
        yield problem_at(path, "XG402", message, line=error.lineno)
    except (RecursionError, ValueError) as error:
        yield problem_at(path, "XG402", f"this is not a Jinja template: {error}")


def _no_text(path: Path, code: str) -> Diagnostic:
    message = f"the file is not UTF-8 text of at most {MAX_BYTES:,} bytes"
    return problem_at(path, code, message, "save a smaller file as UTF-8")


def _text(path: Path) -> str | None:
    """Read a file's text; None if it is missing, too large or not UTF-8."""
    try:
        if not is_plain(path) or path.stat().st_size > MAX_BYTES:
            return None
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
