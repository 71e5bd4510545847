"""Look up keys in the schemas, such as `experiment.training.max_steps`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlmgen.errors import UserError
from xlmgen.io.json_schema import Schema
from xlmgen.spec.messages import closest, either, expected, show, types
from xlmgen.spec.schemas import FILES, GENERATOR, Schemas, built_in

KIND_KEYS = ("kind", GENERATOR)
ANY = "<name>"  # stands for a key that the user chooses, such as a size's name


@dataclass(frozen=True)
class Entry:
    """A key, or a kind of a component, as the schemas describe it.

    Args:
        path: its full path, kind of file first: `family.predictor.order`.
        kind: the kind whose option it is, if its component has several.
        schema: its JSON Schema.
        required: whether it must be given.
    """

    path: str
    kind: str | None
    schema: Schema
    required: bool = False

    @property
    def description(self) -> str:
        return str(self.schema.get("description", ""))

    @property
    def type(self) -> str:
        """The allowed types in words."""
        if "enum" in self.schema and len(self.schema["enum"]) > 1:
            return "one of the allowed values"
        names = self.schema.get("type")
        if names and "oneOf" not in self.schema and "anyOf" not in self.schema:
            return types(names)
        return expected(self.schema)

    @property
    def default(self) -> str:
        if "default" in self.schema:
            return show(self.schema["default"])
        return "none; it is required" if self.required else "none"

    @property
    def allowed(self) -> list[str]:
        """The allowed values or range; empty without a limit."""
        if "enum" in self.schema:
            return [show(value) for value in self.schema["enum"]]
        if "const" in self.schema:
            return [show(self.schema["const"])]
        words = expected(self.schema)
        limited = words != self.type and self.schema.get("type") not in ("object",)
        return [words] if limited else []

    @property
    def examples(self) -> list[str]:
        return [show(example) for example in self.schema.get("examples", ())]

    @property
    def children(self) -> list[Entry]:
        """The keys inside it, of all kinds."""
        return list(_children(self))


def explain(path: str, schemas: Schemas | None = None) -> list[Entry]:
    """Find the keys that a path names: one, or one for each kind that has it.

    The kind of file may be left out (`loss.weight`). A kind may follow its component
    (`predictor.unmasking.steps`) or replace it (`unmasking.steps`).

    Raises:
        UserError: there is no such key; the message lists the existing ones.
    """
    schemas = schemas or built_in()
    roots = {file: Entry(file, None, schemas.schema(file), True) for file in FILES}
    words = [w for w in re.split(r"\.|\[\d*\]", path.strip()) if w]
    if not words:
        return list(roots.values())
    if words[0] in roots:
        found, rest = [roots[words[0]]], words[1:]
    else:
        having = [r for r in roots.values() if _step([r], words[0])]
        components = [
            component for root in roots.values() for component in root.children
        ]
        kinds = [
            e for b in components for e in _step([b], words[0]) if e.kind == words[0]
        ]
        if not having and not kinds:
            known = [*roots, *(_name(component) for component in components)]
            known += [
                kind for component in components for kind, _ in _kinds(component.schema)
            ]
            raise _unknown(words[0], known, "")
        found, rest = (having[:1], words) if having else (kinds, words[1:])
    for word in rest:
        inside = _step(found, word)
        if not inside:
            known = [_name(c) for e in found for c in e.children]
            known += [kind for e in found for kind, _ in _kinds(e.schema)]
            raise _unknown(word, known, found[0].path)
        found = inside
    return found


def _step(entries: list[Entry], word: str) -> list[Entry]:
    """Find children of this name: keys, kinds of a component, keys that users name."""
    named = [c for e in entries for c in e.children if _name(c) == word]
    if not named:
        named = [
            Entry(f"{entry.path}.{kind}", kind, schema, False)
            for entry in entries
            for kind, schema in _kinds(entry.schema)
            if kind == word
        ]
    if not named:
        named = [
            Entry(f"{c.path.removesuffix(ANY)}{word}", c.kind, c.schema)
            for e in entries
            for c in e.children
            if _name(c) == ANY
        ]
    return named


def _children(entry: Entry) -> Iterator[Entry]:
    seen: set[tuple[str, str | None]] = set()
    kinds = {kind for kind, _ in _kinds(entry.schema)}
    for kind, schema in _parts(entry.schema, entry.kind):
        for key, sub in schema.get("properties", {}).items():
            one_of_many = key in KIND_KEYS and kind in kinds
            if one_of_many or (key, kind) in seen or "description" not in sub:
                continue
            seen.add((key, kind))
            required = key in schema.get("required", ())
            yield Entry(f"{entry.path}.{key}", kind, sub, required)
        chosen = schema.get("additionalProperties")
        if isinstance(chosen, dict):
            yield Entry(f"{entry.path}.{ANY}", kind, chosen)


def _parts(schema: Schema, kind: str | None) -> Iterator[tuple[str | None, Schema]]:
    """Yield a schema and all its branches, each with the kind that it is for."""
    own = _const(schema) or kind
    yield own, schema
    for branch in _branches(schema):
        yield from _parts(branch, own)


def _branches(schema: Schema) -> Iterator[Schema]:
    for keyword in ("allOf", "oneOf", "anyOf"):
        yield from schema.get(keyword, ())
    for keyword in ("then", "else", "items"):
        if isinstance(schema.get(keyword), dict):
            yield schema[keyword]


def _kinds(schema: Schema) -> list[tuple[str, Schema]]:
    """Kinds of a component, with their schemas."""
    parts = [(kind, part) for kind, part in _parts(schema, None) if kind]
    own = _const(schema)
    return [(kind, part) for kind, part in parts if kind != own and _const(part)]


def _const(schema: Schema) -> str | None:
    """Kind or generator that a schema is for, if it is for one only."""
    keys = schema.get("properties", {})
    found = [keys.get(key, {}).get("const") for key in KIND_KEYS]
    return next((name for name in found if name), None)


def _name(entry: Entry) -> str:
    return entry.path.rpartition(".")[2]


def _unknown(word: str, known: list[Any], where: str) -> UserError:
    names = list(dict.fromkeys(known))
    guess = closest(word, names)
    place = f"in '{where}'" if where else "in any schema"
    if guess:
        fix = f"did you mean '{guess}'?"
    else:
        fix = f"there is {either(names)}" if names else "it is a plain value"
    return UserError(f"there is no key {show(word)} {place}", fix)
