"""Validate a document against its schema, and describe all problems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from xlmgen.io import bounded
from xlmgen.io.json_schema import Schema, validator
from xlmgen.spec import (
    checks,
    contracts,
    likelihood,
    own_kinds,
    sweep_checks,
    task_checks,
)
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document, Path
from xlmgen.spec.messages import (
    LONGEST,
    certain,
    closest,
    did_you_mean,
    either,
    expected,
    flow,
    interval,
    show,
    type_of,
    types,
)
from xlmgen.spec.migrations import MIGRATIONS
from xlmgen.spec.project import project_of
from xlmgen.spec.scalars import resolve
from xlmgen.spec.schemas import COMPONENTS, Schemas, built_in

SPEC_LINE = re.compile(r"xlmgen/(family|task|experiment|sweep)/v([0-9]{1,9})")
VERSIONS = {"family": 1, "task": 1, "experiment": 1, "sweep": 1}  # the newest
OWN_KIND = "write your own kind: docs/own-kinds.md"
MOST = 100
"""Maximum number of reported problems; suggesting a fix for each takes time."""
_COMPONENT_PATHS = frozenset((component,) for component in COMPONENTS)


def validate(
    document: Document, file: str, schemas: Schemas | None = None
) -> list[Diagnostic]:
    """Find all problems of a document, with reading problems, sorted by place.

    Args:
        document: from `load_yaml`.
        file: the required kind of file: `family`, `task`, `experiment` or `sweep`.
        schemas: by default those of the project of the document's file; problems of the
            project's own kinds are then problems of each of its families.
    """
    if document.data is None:
        return list(document.problems)
    wrong_version = version_problem(document, file)
    if wrong_version:
        return sorted((*document.problems, wrong_version))
    if schemas is None:
        project = project_of(document.file)
        if file == "family" and (broken := own_kinds.problems(project)):
            return sorted({*document.problems, *broken})
        schemas = project.schemas
    if file == "family" and _uses_own_kinds(document, schemas):
        found = _problems_in_subprocess(document, schemas)
    else:
        found = list(_problems(document, file, schemas))
    if len(found) > MOST:
        del found[MOST:]
        message = f"the file has more than {MOST} problems"
        found.append(document.diagnostic("XG007", (), message, "fix these first"))
    # a value that could not be read was replaced; report only that
    unread = {problem.path for problem in document.problems}
    kept = (d for d in found if not d.path or d.path not in unread)
    return sorted({*document.problems, *kept})


def _problems(document: Document, file: str, schemas: Schemas) -> Iterator[Diagnostic]:
    """Find problems of the data, at most one more than are reported."""
    found = list(islice(_schema_problems(document, schemas.schema(file)), MOST + 1))
    if len(found) > MOST:
        yield from found
        return
    if file == "family":
        found += checks.check(document)
        found += contracts.check(document, schemas, found)
        yield from found
        yield from likelihood.check(document, schemas, found)
        return
    yield from found
    more = {"task": task_checks.check, "sweep": sweep_checks.check}
    if file in more:
        yield from islice(more[file](document), MOST + 1)


def _uses_own_kinds(document: Document, schemas: Schemas) -> bool:
    """Whether a family uses kinds of its project, whose schemas are not trusted."""
    components = (
        (component, (document.data or {}).get(component)) for component in COMPONENTS
    )
    named = ((b, o.get("kind")) for b, o in components if isinstance(o, dict))
    return any(
        isinstance(kind, str)
        and kind in schemas.kinds(component)
        and kind not in built_in().kinds(component)
        for component, kind in named
    )


def _problems_in_subprocess(document: Document, schemas: Schemas) -> list[Diagnostic]:
    """Find the problems of a family in a process with limited time and memory."""
    try:
        found = bounded.call(find_problems, (document, schemas))
    except bounded.OutOfBounds as error:
        message = f"the file cannot be checked: {error}"
        fix = "look for patterns of the project's own kinds that take long"
        return [document.diagnostic("XG007", (), message, fix)]
    return [Diagnostic(**problem) for problem in found]


def find_problems(request: tuple[Document, Schemas]) -> list[dict[str, Any]]:
    """Find the problems, in the limited process, as data for JSON."""
    document, schemas = request
    return [asdict(problem) for problem in _problems(document, "family", schemas)]


def file_kind(document: Document) -> str | None:
    """Return the kind of file by its `spec:` line, such as `family`, or None."""
    line = (document.data or {}).get("spec")
    match = SPEC_LINE.fullmatch(line) if isinstance(line, str) else None
    return match[1] if match else None


def version_problem(document: Document, file: str) -> Diagnostic | None:
    """Return a problem with the format or version of the file, if there is one."""
    assert document.data is not None
    line = document.data.get("spec")
    match = SPEC_LINE.fullmatch(line) if isinstance(line, str) else None
    if not match or (match[1] == file and int(match[2]) == VERSIONS[file]):
        return None
    if match[1] != file:
        message = f"this is {_a(match[1])} file where {_a(file)} file is needed"
        return document.diagnostic("XG100", ("spec",), message)
    message = f"version {match[2]} of the {file} format is not known"
    fix = f"this xlmgen reads xlmgen/{file}/v{VERSIONS[file]}; "
    if int(match[2]) > VERSIONS[file]:
        fix += "upgrade xlmgen for a newer one"
    elif (file, int(match[2])) in MIGRATIONS:
        fix += f"run `xlmgen migrate {document.file}`"
    else:
        fix += "change the line"
    return document.diagnostic("XG100", ("spec",), message, fix)


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _schema_problems(document: Document, schema: Schema) -> Iterator[Diagnostic]:
    for error in validator(schema).iter_errors(document.data):
        yield from _explain(document, error)


def _explain(document: Document, error: Any) -> Iterator[Diagnostic]:
    """Convert a jsonschema error to diagnostics, depending on the failed keyword."""
    path: Path = tuple(error.absolute_path)
    value, schema, limit = error.instance, error.schema, error.validator_value
    note = schema.get("x-message") if isinstance(schema, dict) else None
    if "propertyNames" in error.relative_schema_path and isinstance(value, str):
        path = (*path, value)
        yield document.diagnostic("XG106", path, *_form(value, schema), key=True)
        return
    if note:
        yield document.diagnostic("XG108", path, f"{show(value)} {note}")
        return
    match error.validator:
        case "additionalProperties":
            yield from _unknown_keys(document, path, value, schema)
        case "required":
            for key in limit:
                if key not in value:
                    yield _missing_key(document, path, key, schema)
        case "type":
            yield document.diagnostic("XG103", path, *_wrong_type(path, value, schema))
        case "enum" | "const":
            message, fix = _not_allowed(value, schema)
            if path[:-1] in _COMPONENT_PATHS and path[-1] == "kind":
                fix = f"{fix} or {OWN_KIND}".removeprefix(" or ")
            edit = certain(value, schema.get("enum", [schema.get("const")]))
            yield document.diagnostic("XG104", path, message, fix, edit=edit)
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            message = f"{show(value)} is out of range"
            yield document.diagnostic(
                "XG105", path, message, f"it must be {interval(schema)}"
            )
        case "pattern" | "x-visible":
            yield document.diagnostic("XG106", path, *_form(value, schema))
        case "x-sum" | "x-ascending":
            yield document.diagnostic("XG105", path, error.message)
        case "oneOf" | "anyOf":
            yield from _alternatives(document, error)
        case _:
            yield document.diagnostic("XG105", path, _counted(error))


def _unknown_keys(
    document: Document, path: Path, value: dict[str, Any], schema: Schema
) -> Iterator[Diagnostic]:
    known = schema.get("properties", {})
    for key in value:
        if key in known:
            continue
        free = [k for k in known if k not in value]
        # Keys that exist already are candidates, too, if they are very similar: an
        # override may misspell a key of the file.
        guess = (
            closest(key, known, cutoff=0.8) or _inside(key, known) or closest(key, free)
        )
        head, colon, _ = key.partition(":")
        if key in schema.get("x-absent", {}):
            fix = schema["x-absent"][key]
        elif guess:
            fix = f"did you mean '{guess}'?"
        elif key == "<<":
            fix = "merge keys are not YAML 1.2; write the keys out"
        elif colon and head in known:
            fix = f"put a space after the colon: '{head}: …'"
        else:
            fix = f"allowed here: {', '.join(known) or 'no keys'}"
        message = f"unknown key {show(key)}"
        edit = certain(key, free) if certain(key, known) in free else ""
        place = (*path, key)
        yield document.diagnostic("XG101", place, message, fix, key=True, edit=edit)


def _inside(key: str, known: dict[str, Schema]) -> str | None:
    """Find the place of a key that is written one level too high: `training.seed`."""
    homes = [name for name, sub in known.items() if key in sub.get("properties", {})]
    return f"{homes[0]}.{key}" if len(homes) == 1 else None


def _missing_key(
    document: Document, path: Path, key: str, schema: Schema
) -> Diagnostic:
    sub = schema.get("properties", {}).get(key, {})
    examples = sub.get("examples", [])
    if "const" in sub:
        fix = f"write {key}: {sub['const']}"
    elif sub.get("enum"):
        fix = f"{key} is {expected(sub)}"
    elif examples and not isinstance(examples[0], dict | list):
        fix = f"for example {key}: {examples[0]}"
    else:
        fix = _mapping_example(document, path, key, schema, examples)
    return document.diagnostic("XG102", path, f"missing key '{key}'", fix, key=True)


def _mapping_example(
    document: Document, path: Path, key: str, schema: Schema, examples: list[Any]
) -> str:
    """Show the first example of a mapping that the other keys allow, if it is short."""
    data = document.data if path == () else None
    for example in examples:
        if not isinstance(example, dict):
            continue
        found = validator(schema).iter_errors({**(data or {}), key: example})
        if any(
            error.absolute_path and error.absolute_path[0] == key for error in found
        ):
            continue
        shown = flow(example)
        if len(shown) <= LONGEST:
            return f"for example {key}: {shown}"
    return ""


def _form(value: str, schema: Schema) -> tuple[str, str]:
    """Describe the required form of a string by the schema's `x-form`."""
    form = schema.get("x-form") or f"of the form {schema.get('pattern', '')}"
    examples = schema.get("examples", [])
    fix = f"for example {show(examples[0])}" if examples else ""
    return f"{show(value)} is not {form}", fix


def _wrong_type(path: Path, value: Any, schema: Schema) -> tuple[str, str]:
    wanted = schema["type"]
    names = [wanted] if isinstance(wanted, str) else wanted
    message = f"{show(value)} is {type_of(value)}, not {types(wanted)}"
    fix = ""
    if value is None:
        message, fix = f"null is not {types(wanted)}", "give a value or remove the line"
    elif isinstance(value, str) and not _is_word(value):
        pass  # too long for a fix on one line
    elif isinstance(value, str) and "object" in names and path[-1:] in _COMPONENT_PATHS:
        fix = f"write {{kind: {value}}}"
    elif isinstance(value, str) and "array" in names:
        fix = f"write [{value}]"
    elif isinstance(value, str):
        fix = _unquote(value, names)
    elif isinstance(value, float) and "integer" in names and value.is_integer():
        fix = f"write {int(value)}"
    elif "string" in names and not isinstance(value, dict | list):
        fix = f"put it in quotes: '{show(value)}'"
    elif "array" in names and not isinstance(value, dict):
        fix = f"write [{show(value)}]"
    elif "object" in names and not isinstance(value, list):
        shown = [flow(e) for e in schema.get("examples", []) if isinstance(e, dict)]
        short = [text for text in shown if len(text) <= LONGEST]
        fix = f"for example {either(short[:2])}" if short else ""
    return message, fix


def _is_word(value: str) -> bool:
    return value.isprintable() and len(value) <= LONGEST


def _unquote(value: str, names: list[str]) -> str:
    """Suggest a fix for a string if a number or a boolean is needed."""
    if "boolean" in names and value.lower() in ("yes", "on", "y", "true"):
        return "write true"
    if "boolean" in names and value.lower() in ("no", "off", "n", "false"):
        return "write false"
    try:
        read = resolve(value)
    except ValueError:
        return ""
    numeric = isinstance(read, int | float) and not isinstance(read, bool)
    if numeric and ("number" in names or "integer" in names):
        return f"remove the quotes: {value}"
    return "write null without quotes" if read is None and "null" in names else ""


def _not_allowed(value: Any, schema: Schema) -> tuple[str, str]:
    values = [schema["const"]] if "const" in schema else schema["enum"]
    if len(values) == 1:
        return f"{show(value)} must be {show(values[0])}", ""
    listed = ", ".join(show(v) for v in values)
    return f"{show(value)} is not one of {listed}", did_you_mean(value, values)


def _counted(error: Any) -> str:
    value, limit = error.instance, error.validator_value
    words = (
        {
            "minItems": f"the list has {len(value)} items; at least {limit} needed",
            "maxItems": f"the list has {len(value)} items; at most {limit} allowed",
            "minProperties": "the mapping is empty; it needs at least one entry",
            "maxProperties": f"{len(value)} entries; at most {limit} allowed",
            "minLength": "the text is empty",
            "maxLength": f"{len(value)} characters; at most {limit} allowed",
            "uniqueItems": "the list holds the same item twice",
        }
        if isinstance(value, str | list | dict)
        else {}
    )
    return words.get(error.validator, f"{show(value)} is not allowed here")


def _alternatives(document: Document, error: Any) -> Iterator[Diagnostic]:
    """Describe a value that matches none of several forms.

    If the value's type matches exactly one form, the problems with that form are
    reported; otherwise all forms are listed.
    """
    path: Path = tuple(error.absolute_path)
    branches: dict[int, list[Any]] = {}
    for part in error.context:
        branches.setdefault(part.relative_schema_path[0], []).append(part)
    near = [
        parts
        for parts in branches.values()
        if not any(
            part.validator in ("type", "const", "enum") and not part.relative_path
            for part in parts
        )
    ]
    if len(near) == 1:
        for part in near[0]:
            yield from _explain(document, part)
        return
    forms = error.validator_value
    words = [w for form in forms for w in (form.get("const"), *form.get("enum", ()))]
    guess = did_you_mean(error.instance, words)
    fix = guess or (_unquote_any(error.instance, forms))
    message = f"{show(error.instance)} is not {expected(error.schema)}"
    edit = certain(error.instance, words)
    yield document.diagnostic("XG104", path, message, fix, edit=edit)


def _unquote_any(value: Any, forms: list[Schema]) -> str:
    if not isinstance(value, str):
        return ""
    names = [form["type"] for form in forms if isinstance(form.get("type"), str)]
    return _unquote(value, names)
