"""Contracts between the components of a family.

A kind's schema lists capabilities under `x-provides` and `x-requires`. An entry is the
name of a capability, or `{capability, when, why}`: the entry counts if the component,
with defaults filled in, is valid against the JSON Schema `when`; `why` is shown to the
user.
`x-refuses` lists features of tasks that a component does not support, in the same form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xlmgen.io.json_schema import Schema
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.messages import either, show
from xlmgen.spec.schemas import COMPONENTS, Schemas, satisfies

Components = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Clause:
    """One entry of `x-provides`, `x-requires` or `x-refuses`."""

    capability: str
    why: str = ""
    when: Schema = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The condition as YAML: `attention: causal`."""
        keys = self.when.get("properties", {})
        return ", ".join(f"{key}: {_allowed_values(sub)}" for key, sub in keys.items())


def check(
    document: Document, schemas: Schemas, found: Iterable[Diagnostic]
) -> Iterator[Diagnostic]:
    """Report requirements of a family's components that none of them provides.

    A component that is missing or has other problems is assumed to provide everything
    that its kinds can provide, and its own requirements are not checked.

    Args:
        document: a family's document.
        schemas: with the kinds.
        found: problems that are known already.
    """
    data = document.data or {}
    broken = {problem.path.split(".")[0] for problem in found}
    components = filled(document, schemas, broken)
    required = schemas.schema("family")["required"]
    incomplete = [
        c for c in COMPONENTS if c in broken or (c in required and c not in data)
    ]
    provided = capabilities(components, schemas).union(
        *(
            _possible(component, data.get(component), schemas)
            for component in incomplete
        )
    )
    for component, options in components.items():
        for clause in clauses(schemas.kind(component, options["kind"]), "x-requires"):
            if clause.capability in provided or not satisfies(clause.when, options):
                continue
            yield _unmet(document, schemas, components, component, clause)


def filled(
    document: Document, schemas: Schemas, broken: Collection[str] = ()
) -> Components:
    """Components of a family's document with defaults, without the broken ones."""
    data = document.data or {}
    return {
        component: fill_defaults(
            data[component], schemas.kind(component, data[component]["kind"])
        )
        for component in COMPONENTS
        if data.get(component) is not None and component not in broken
    }


def _possible(component: str, options: Any, schemas: Schemas) -> set[str]:
    """Capabilities that a component could provide, as far as its kind is known."""
    kinds = list(schemas.kinds(component))
    written = options.get("kind") if isinstance(options, dict) else None
    return {
        clause.capability
        for kind in ([written] if written in kinds else kinds)
        for clause in clauses(schemas.kind(component, kind), "x-provides")
    }


def capabilities(components: Components, schemas: Schemas) -> frozenset[str]:
    """Capabilities that the components, with defaults filled in, provide together."""
    return _named(components, schemas, "x-provides")


def requirements(components: Components, schemas: Schemas) -> frozenset[str]:
    """Capabilities that the components, with defaults filled in, require."""
    return _named(components, schemas, "x-requires")


def refusals(options: Mapping[str, Any], schema: Schema) -> dict[str, str]:
    """Features of tasks that a component does not support, with the reasons.

    Args:
        options: of the component; defaults are filled in here.
        schema: of its kind.
    """
    filled = fill_defaults(options, schema)
    return {
        clause.capability: clause.why
        for clause in clauses(schema, "x-refuses")
        if satisfies(clause.when, filled)
    }


def _named(components: Components, schemas: Schemas, keyword: str) -> frozenset[str]:
    return frozenset(
        clause.capability
        for component, options in components.items()
        for clause in clauses(schemas.kind(component, options["kind"]), keyword)
        if satisfies(clause.when, options)
    )


def clauses(schema: Schema, keyword: str) -> list[Clause]:
    """Parse the entries of `x-provides`, `x-requires` or `x-refuses`."""
    return [
        Clause(entry) if isinstance(entry, str) else Clause(**entry)
        for entry in schema.get(keyword, ())
    ]


def _unmet(
    document: Document,
    schemas: Schemas,
    components: Components,
    component: str,
    clause: Clause,
) -> Diagnostic:
    options = components[component]
    keys = clause.when.get("properties", {})
    written = [key for key in keys if (component, key) in document.values]
    key = written[0] if len(written) == 1 else "kind"
    subject = show(options[key])
    if key == "kind" and clause.words:
        subject += f" with {clause.words}"
    why = f" ({clause.why})" if clause.why else ""
    message = f"{subject} needs {clause.capability}{why}"
    fix = _remedy(schemas, components, clause.capability)
    return document.diagnostic("XG201", (component, key), message, fix)


def _remedy(schemas: Schemas, components: Components, capability: str) -> str:
    """Suggest the kinds and options that provide a capability."""
    offers: dict[tuple[str, str], list[str]] = {}
    for component in COMPONENTS:
        for kind in schemas.kinds(component):
            for clause in clauses(schemas.kind(component, kind), "x-provides"):
                if clause.capability != capability:
                    continue
                if components.get(component, {}).get("kind") == kind and clause.words:
                    return f"set {component}.{clause.words}"
                offers.setdefault((component, clause.words), []).append(kind)
    listed = [
        f"{component}: {{kind: {' | '.join(kinds)}{f', {words}' if words else ''}}}"
        for (component, words), kinds in offers.items()
    ]
    return f"provided by {either(listed)}" if listed else "no kind provides it"


def _allowed_values(schema: Schema) -> str:
    """Format the values that a condition allows: `schedule`, `a or b`, `{mask: 1}`."""
    if "const" in schema:
        return show(schema["const"]).strip("'")
    if "enum" in schema:
        return either(show(value).strip("'") for value in schema["enum"])
    if "exclusiveMinimum" in schema:
        return f"more than {show(schema['exclusiveMinimum'])}"
    if "maximum" in schema:
        return f"at most {show(schema['maximum'])}"
    inner = schema.get("properties", {})
    values = (f"{key}: {_allowed_values(sub)}" for key, sub in inner.items())
    return f"{{{', '.join(values)}}}"
