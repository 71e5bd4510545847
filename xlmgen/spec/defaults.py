"""Fill in the defaults of a schema."""

from __future__ import annotations

from typing import Any

from xlmgen.io.json_schema import Schema
from xlmgen.spec.schemas import applicable, built_in, properties


def fill_defaults(data: Any, schema: str | Schema) -> Any:
    """Copy valid data and fill in all defaults.

    Keys are in the order of the schema, and integers become floats where the schema
    says `number`, so that equal specs give equal results however they were written.

    Args:
        data: of a document without problems.
        schema: `family`, `task` or `experiment`, or a schema.
    """
    return _fill(data, built_in().schema(schema) if isinstance(schema, str) else schema)


def _fill(data: Any, schema: Schema) -> Any:
    if isinstance(data, dict):
        known = properties(schema, data)
        keys = [key for key in known if key in data or "default" in known[key]]
        filled = {
            key: _fill(data.get(key, known[key].get("default")), known[key])
            for key in keys
        }
        others = _additional(schema, data)
        filled |= {k: _fill(v, others) for k, v in data.items() if k not in known}
        return filled
    if isinstance(data, list):
        items: Schema = {}
        for part in applicable(schema, data):
            items = part.get("items", items)
        return [_fill(item, items) for item in data]
    if isinstance(data, int) and not isinstance(data, bool):
        return float(data) if _is_number(schema, data) else data
    return data


def _additional(schema: Schema, data: Any) -> Schema:
    """Schema of the keys that a spec names itself, such as sizes."""
    for part in applicable(schema, data):
        if isinstance(part.get("additionalProperties"), dict):
            found: Schema = part["additionalProperties"]
            return found
    return {}


def _is_number(schema: Schema, value: int) -> bool:
    names: set[str] = set()
    for part in applicable(schema, value):
        kind = part.get("type", [])
        names.update([kind] if isinstance(kind, str) else kind)
    return "number" in names and "integer" not in names
