"""Numeric options of a predictor as parameters of its rendered class."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.io.json_schema import Schema
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.schemas import properties

TYPES = {"integer": "int", "number": "float", "null": "None"}


@dataclass(frozen=True)
class Option:
    """A keyword parameter of the predictor's constructor.

    Args:
        name: as in the family's YAML.
        type: the annotation.
        default: the value in the family's YAML.
        about: the text in the docstring.
    """

    name: str
    type: str
    default: Any
    about: str


def predictor_schema(family: FamilySpec) -> Schema:
    return family.project.schemas.kind("predictor", family.predictor.kind)


def options(
    schema: Schema,
    values: Mapping[str, Any],
    names: Iterable[str],
    *,
    not_none: Collection[str] = (),
) -> list[Option]:
    """Describe options by the first sentences of their descriptions in the schema.

    Args:
        schema: of the mapping that holds the options.
        values: the mapping, with defaults filled in.
        names: which options, in the order of the parameters.
        not_none: options whose null selects another algorithm, so that the rendered
            code does not take None.
    """
    known = properties(schema, values)
    return [
        Option(
            name,
            _annotation(known[name]["type"], nullable=name not in not_none),
            values[name],
            _first_sentence(known[name]["description"]),
        )
        for name in names
    ]


def _annotation(types: str | list[str], *, nullable: bool) -> str:
    names = [types] if isinstance(types, str) else types
    return " | ".join(TYPES[name] for name in names if nullable or name != "null")


def _first_sentence(description: str) -> str:
    """Return the first sentence in the style of an `Args` section."""
    sentence = description.split(". ")[0].rstrip(".").replace("null", "None")
    return f"{sentence[:1].lower()}{sentence[1:]}."
