"""Hypothesis strategies for data of a schema.

They support the keywords of this repository's schemas. Drawn data may still be invalid
because of keywords across several options, so callers must validate it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from xlmgen.io.patterns import strict
from xlmgen.spec.schemas import properties

LARGEST = 2**63 - 1
NULLS = {"null": st.none(), "boolean": st.booleans()}


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw values of a schema, with its examples among them."""
    shown = [schema[key] for key in ("const", "default") if key in schema]
    shown += [*schema.get("enum", ()), *schema.get("examples", ())]
    parts = [st.sampled_from(shown)] if shown else []
    parts += [
        values(part) for key in ("oneOf", "anyOf") for part in schema.get(key, ())
    ]
    if "const" not in schema and "enum" not in schema:
        kinds = schema.get("type", ())
        kinds = [kinds] if isinstance(kinds, str) else kinds
        parts += [_typed(kind, schema) for kind in kinds]
    return st.one_of(parts) if parts else st.none()


@st.composite
def mappings(draw, schema: dict[str, Any], start: dict[str, Any]) -> dict[str, Any]:
    """Draw some keys of a mapping; available keys may depend on those drawn."""
    drawn, seen = dict(start), set(start)
    while new := [key for key in properties(schema, drawn) if key not in seen]:
        seen.add(new[0])
        known = properties(schema, drawn)[new[0]]
        if new[0] in schema.get("required", ()) or draw(st.booleans()):
            drawn[new[0]] = draw(values(known))
    return drawn


def _typed(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind in NULLS:
        return NULLS[kind]
    if kind == "string":
        longest = schema.get("maxLength", 30)
        if "pattern" in schema:
            drawn = st.from_regex(strict(schema["pattern"]))
            return drawn.filter(lambda text: len(text) <= longest)
        return st.text(max_size=longest)
    if kind == "integer":
        low, high = schema.get("minimum", -LARGEST), schema.get("maximum", LARGEST)
        return st.integers(low, high)
    if kind == "number":
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        return st.floats(
            low,
            high,
            allow_nan=False,
            allow_infinity=False,
            exclude_min="exclusiveMinimum" in schema,
            exclude_max="exclusiveMaximum" in schema,
        )
    if kind == "array":
        return st.lists(values(schema.get("items", {})), max_size=4)
    names = schema.get("propertyNames")
    if names and "additionalProperties" in schema:
        named = values({"type": "string", **names})
        inner = schema["additionalProperties"]
        return st.dictionaries(named, values(inner), max_size=3)
    return mappings(schema, {})
