"""Rules for the schema of a project's own kind, as a JSON Schema of it."""

from __future__ import annotations

from xlmgen.io.json_schema import Schema
from xlmgen.spec.project import OwnKind
from xlmgen.spec.schemas import DRAFT

WORD = "[A-Za-z_][A-Za-z0-9_]*"  # of Python
WHEN: Schema = {"type": "object", "$ref": DRAFT}
CLAUSES: Schema = {
    "type": "array",
    "items": {
        "type": ["string", "object"],
        "required": ["capability"],
        "additionalProperties": False,
        "properties": {
            "capability": {"type": "string"},
            "why": {"type": "string"},
            "when": WHEN,
        },
    },
}
SUITE: Schema = {
    "type": "string",
    "pattern": rf"^({WORD}(\.{WORD})*:)?{WORD}$",
}
SUITES: Schema = {
    "type": "array",
    "minItems": 1,
    "items": {
        "if": {"type": "string"},
        "then": SUITE,
        "else": {
            "type": "object",
            "required": ["suite"],
            "additionalProperties": False,
            "properties": {"suite": SUITE, "when": WHEN},
        },
    },
}
FIELDS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "type", "about"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": f"^{WORD}$"},
            "type": {"type": "string"},
            "about": {"type": "string"},
            "when": WHEN,
        },
    },
}
GIVES: Schema = {
    "type": "array",
    "minItems": 1,
    "items": {
        "if": {"type": "string"},
        "then": {"enum": ["exact", "bound"]},
        "else": {
            "type": "object",
            "required": ["gives"],
            "additionalProperties": False,
            "properties": {
                "gives": {"enum": ["exact", "bound", "none"]},
                **{key: {"type": "string"} for key in ("per", "sum", "count", "about")},
                "metric": {"type": "string", "pattern": r"^[a-z][a-z0-9_]*$"},
                "capability": {"type": "string"},
                "when": WHEN,
            },
            "if": {"properties": {"gives": {"const": "none"}}},
            "then": {"required": ["metric", "about"]},
        },
    },
}
LISTS = {
    "collator": {"x-batch": FIELDS, "x-prompt": FIELDS},
    "loss": {"x-output": FIELDS, "x-likelihood": GIVES},
}
"""Further lists that the schema of a component's kind has."""
OPTIONS = {"noise_schedule": ("sampling_eps", "antithetic")}
"""Options of a component that templates or suites of other components read."""


def rules(kind: OwnKind) -> Schema:
    """Return the meta-schema of a kind's schema, beyond JSON Schema itself."""
    lists = LISTS.get(kind.component, {})
    return {
        "required": [
            *("type", "required", "properties", "additionalProperties"),
            *("description", "x-tests", *lists),
        ],
        "properties": {
            "type": {"const": "object"},
            "required": {"contains": {"const": "kind"}},
            "additionalProperties": {"const": False},
            "description": {"type": "string"},
            "properties": {
                "type": "object",
                "required": ["kind", *OPTIONS.get(kind.component, ())],
                "properties": {
                    "kind": {
                        "required": ["const"],
                        "properties": {"const": {"const": kind.name}},
                    }
                },
                "additionalProperties": {
                    "type": "object",
                    "if": {"required": ["$ref"]},
                    "else": {"required": ["description"]},
                },
            },
            "x-provides": CLAUSES,
            "x-requires": CLAUSES,
            "x-refuses": CLAUSES,
            "x-tests": SUITES,
            **lists,
        },
    }
