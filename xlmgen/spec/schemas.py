"""Find and read the JSON Schemas.

A component's kinds are the files `kinds/<component>/<kind>.schema.json`, found by
listing the folder; so are the generators of tasks. `python -m xlmgen.spec.schemas`
writes the index files for editors, `kinds/<component>.schema.json`, from that list, and
gives every file the same layout; xlmgen itself does not read the indexes.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from xlmgen import resources
from xlmgen.io.json_schema import Schema, validator
from xlmgen.spec.json_layout import json_layout

SUFFIX = ".schema.json"
COMPONENTS = ("collator", "noise_schedule", "model", "loss", "predictor")
GENERATOR = "generator"  # key of a task's source that names the kind
FILES = ("family", "task", "experiment", "sweep")
MOST_PARTS = 20_000
DRAFT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Schemas:
    """Schemas on a search path of folders; the first folder with a file wins.

    Args:
        state: of the folders' files, so that changed files are read again.
    """

    search: tuple[Path, ...]
    state: tuple[object, ...] = ()

    def path(self, name: str) -> Path | None:
        """Find the schema file of this relative name."""
        found = (folder / name for folder in self.search)
        return next((path for path in found if path.is_file()), None)

    def kinds(self, component: str) -> dict[str, Path]:
        """Return all kinds of a component with their schema files, sorted by name."""
        found: dict[str, Path] = {}
        # generators are code of xlmgen, so projects have none
        for folder in self.search[:1] if component == GENERATOR else self.search:
            for path in (folder / "kinds" / component).glob(f"*{SUFFIX}"):
                found.setdefault(path.name.removesuffix(SUFFIX), path)
        return dict(sorted(found.items()))

    def schema(self, file: str) -> Schema:
        """Return the schema of a kind of file, such as `family`, with `$ref`s inlined.

        Raises:
            FileNotFoundError: no folder of the search path has it.
        """
        return _inlined(self, f"{file}{SUFFIX}")

    def kind(self, component: str, kind: str) -> Schema:
        """Return the schema of a kind of a component, with `$ref`s inlined."""
        return _inlined(self, f"kinds/{component}/{kind}{SUFFIX}")

    def index(self, component: str) -> Schema:
        """Build the schema of a component, which selects the schema of its kind."""
        kinds = list(self.kinds(component))
        key, use = (component, "use") if component == GENERATOR else ("kind", "render")
        return {
            "$schema": DRAFT,
            "$comment": "Written by `python -m xlmgen.spec.schemas`; do not edit.",
            "type": "object",
            "required": [key],
            "properties": {
                key: {
                    "description": f"Which {component.replace('_', ' ')} to {use}.",
                    "enum": kinds,
                    "examples": kinds[:1],
                }
            },
            "allOf": [
                {
                    # without the type, editors apply every kind to an empty component
                    "if": {
                        "type": "object",
                        "properties": {key: {"const": kind}},
                        "required": [key],
                    },
                    "then": {"$ref": f"{component}/{kind}{SUFFIX}"},
                }
                for kind in kinds
            ],
        }

    def read(self, name: str) -> Schema:
        """Read a schema file, or build a component's index.

        Raises:
            FileNotFoundError: no folder of the search path has it, or it is outside.
        """
        name = posixpath.normpath(name)
        parts = PurePosixPath(name).parts
        if parts[0] in ("/", "//", ".."):
            raise FileNotFoundError(f"{name} is in no folder of schemas")
        if len(parts) == 2 and parts[0] == "kinds":
            return self.index(parts[1].removesuffix(SUFFIX))
        path = self.path(name)
        if path is None:
            folders = ", ".join(map(str, self.search))
            raise FileNotFoundError(f"there is no {name} in {folders}")
        schema: Schema = json.loads(path.read_text("utf-8"))
        return schema


@cache
def built_in() -> Schemas:
    """Return the schemas that ship with xlmgen."""
    return Schemas((resources.root() / "schemas",))


@cache
def _inlined(schemas: Schemas, name: str) -> Schema:
    filled = _fill(schemas, schemas.read(name), name, count())
    assert isinstance(filled, dict)
    return filled


def _fill(schemas: Schemas, node: Any, base: str, parts: Iterator[int]) -> Any:
    """Inline every `$ref`; keys beside a `$ref` override those of its target.

    Args:
        parts: counts lists and objects, because nested references can grow
            exponentially.
    """
    if isinstance(node, dict | list) and next(parts) > MOST_PARTS:
        raise ValueError(f"with its $refs it has more than {MOST_PARTS:,} parts")
    if isinstance(node, list):
        return [_fill(schemas, item, base, parts) for item in node]
    if not isinstance(node, dict):
        return node
    # an inner `$schema` would switch to the validator that it names
    own = ("$ref", "$schema")
    rest = {k: _fill(schemas, v, base, parts) for k, v in node.items() if k not in own}
    if "$ref" not in node:
        return rest
    file, _, pointer = node["$ref"].partition("#")
    name = str(PurePosixPath(base).parent / file) if file else base
    target: Any = schemas.read(name)
    for part in pointer.strip("/").split("/") if pointer else ():
        target = target[part]
    return {**_fill(schemas, target, name, parts), **rest}


def applicable(schema: Schema, value: Any) -> Iterator[Schema]:
    """Yield the schema and all its parts that apply to this value.

    Follows `allOf`, `if`/`then`/`else`, and the branches of `oneOf`/`anyOf` that the
    value satisfies.
    """
    yield schema
    for part in schema.get("allOf", ()):
        yield from applicable(part, value)
    if "if" in schema:
        branch = "then" if satisfies(schema["if"], value) else "else"
        if branch in schema:
            yield from applicable(schema[branch], value)
    for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        if satisfies(part, value):
            yield from applicable(part, value)


def satisfies(schema: Schema, value: Any) -> bool:
    """Whether a value is valid; 2.0 is not an integer."""
    return bool(validator(schema).is_valid(value))


def properties(schema: Schema, value: Any) -> dict[str, Schema]:
    """Return the schemas of all keys that a mapping may have, by key."""
    found: dict[str, Schema] = {}
    for part in applicable(schema, value):
        for key, sub in part.get("properties", {}).items():
            # of two schemas of a key, take the full one rather than a condition
            if key not in found or len(sub) > len(found[key]):
                found[key] = sub
    return found


def layouts(folder: Path) -> dict[Path, str]:
    """The current text of every schema file of a folder.

    The indexes of components and generators are made from the listing of their kinds.
    """
    schemas = Schemas((folder,))
    indexes = [f"kinds/{component}{SUFFIX}" for component in (*COMPONENTS, GENERATOR)]
    files = [path.relative_to(folder).as_posix() for path in folder.rglob(f"*{SUFFIX}")]
    return {
        folder / name: json_layout(schemas.read(name))
        for name in sorted({*files, *indexes})
    }


if __name__ == "__main__":
    for path, text in layouts(resources.root() / "schemas").items():
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8", newline="\n")
            print(path)
