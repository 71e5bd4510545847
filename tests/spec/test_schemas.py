"""All schemas are closed, describe their keys, and need no network."""

import json

import pytest
from jsonschema import Draft202012Validator

from xlmgen import resources
from xlmgen.io.json_schema import validator
from xlmgen.spec.json_layout import json_layout
from xlmgen.spec.schemas import COMPONENTS, FILES, GENERATOR, Schemas, built_in, layouts

ROOT = resources.root() / "schemas"
PATHS = sorted(ROOT.rglob("*.schema.json"))
INDEXED = (*COMPONENTS, GENERATOR)
LAYOUTS = layouts(ROOT)
INDEXES = [ROOT / "kinds" / f"{component}.schema.json" for component in INDEXED]


def test_required_files_and_kinds_exist():
    for file in FILES:
        assert built_in().schema(file)["type"] == "object"
    assert {"causal", "masking"} <= set(built_in().kinds("collator"))
    assert {"linear", "cosine", "polynomial", "geometric"} <= set(
        built_in().kinds("noise_schedule")
    )


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_schema_file_has_current_text(path):
    """If it fails, run `python -m xlmgen.spec.schemas`."""
    assert path.read_text("utf-8") == LAYOUTS[path]


def test_every_component_has_an_index():
    assert {*INDEXES} <= {*PATHS} == {*LAYOUTS}


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({}, ["{}"]),
        (
            {"a": [1, "é", None], "b": {"c": 2.0}},
            ['{"a": [1, "é", None], "b": {"c": 2.0}}'],
        ),
        (
            {"a": "x" * 80, "b": 1, "c": [True], "d": {"e": {}}, "f": 2},
            [
                "{",
                f'  "a": "{"x" * 80}",',
                '  "b": 1, "c": [true],',
                '  "d": {"e": {}},',
                '  "f": 2',
                "}",
            ],
        ),
        (["y" * 50, "z" * 50], ["[", f'  "{"y" * 50}",', f'  "{"z" * 50}"', "]"]),
    ],
)
def test_short_values_share_a_line(value, lines):
    text = json_layout(value)
    assert text.replace("null", "None").splitlines() == lines
    assert json.loads(text) == value


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_schema_is_valid_closed_described_and_local(path):
    schema = json.loads(path.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert not [ref for ref in references(schema) if "://" in ref]
    if path not in INDEXES:
        filled = built_in_schema(path.relative_to(ROOT).as_posix())
        assert complaints(filled, path.name) == []


def references(node):
    if isinstance(node, dict):
        yield from [node["$ref"]] if "$ref" in node else []
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)


def test_no_option_is_written_twice():
    """Where two kinds share an option, one has it and the other refers to it."""
    written = {}
    for path in PATHS:
        schema = json.loads(path.read_text("utf-8"))
        for key, option in schema.get("properties", {}).items():
            if path not in INDEXES and "description" in option and key != "kind":
                place = f"{path.stem}.{key}"
                text = json.dumps(option, sort_keys=True)
                assert written.setdefault(text, place) == place


def complaints(schema, place, described=False):
    """Find what is missing in a schema and its subschemas.

    Conditions in `if`, and parts that only restrict keys described elsewhere, need
    nothing. A key without a default (such as one of two alternatives) must be named in
    the description around it, or its description must say what holds without it.
    """
    found = []
    if not isinstance(schema, dict):
        return found
    properties = schema.get("properties", {})
    narrows = bool(properties) and not any(
        "description" in p for p in properties.values()
    )
    if properties and not narrows:
        kinds = schema.get("allOf", [])
        closed = schema.get("additionalProperties") is False or any(
            "then" in part for part in kinds
        )
        if not closed:
            found.append(f"{place}: open to unknown keys")
        required = schema.get("required", [])
        for key, sub in properties.items():
            where = f"{place}.{key}"
            if set(sub) == {"const"}:
                continue  # picks this form among several; described where they part
            if not sub.get("description", "").strip():
                found.append(f"{where}: no description")
            if not sub.get("examples") and "const" not in sub:
                found.append(f"{where}: no examples")
            text = f"{schema.get('description')} {sub.get('description')}"
            absence = f"`{key}`" in text or "by default" in text.lower()
            if "default" not in sub and key not in required and not absence:
                found.append(f"{where}: no default, not required, and not described")
            if "default" in sub and key in required:
                found.append(f"{where}: a default that is never used")
    for key, sub in properties.items():
        found += complaints(sub, f"{place}.{key}")
    for keyword in ("items", "additionalProperties", "then", "else"):
        found += complaints(schema.get(keyword), f"{place}.{keyword}")
    for keyword in ("allOf", "oneOf", "anyOf"):
        for part in schema.get(keyword, ()):
            found += complaints(part, f"{place}.{keyword}")
    for name, sub in schema.get("$defs", {}).items():
        found += complaints(sub, f"{place}.{name}")
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_defaults_and_examples_of_keys_are_valid(path):
    name = path.relative_to(ROOT).as_posix()
    if path in INDEXES:
        return
    for place, sub in keys(built_in_schema(name), name):
        for value in [
            *sub.get("examples", ()),
            *([sub["default"]] if "default" in sub else ()),
        ]:
            errors = [error.message for error in validator(sub).iter_errors(value)]
            assert not errors, f"{place}: {value!r}: {errors}"


def built_in_schema(name):
    if name.startswith("kinds/"):
        _, component, file = name.split("/")
        return built_in().kind(component, file.removesuffix(".schema.json"))
    return built_in().schema(name.removesuffix(".schema.json"))


def keys(schema, place):
    for key, sub in schema.get("properties", {}).items():
        yield f"{place}.{key}", sub
        yield from keys(sub, f"{place}.{key}")


def test_own_kind_is_found_by_listing(tmp_path):
    folder = tmp_path / "kinds" / "loss"
    folder.mkdir(parents=True)
    kind = {"type": "object", "properties": {"kind": {"const": "mine"}}}
    (folder / "mine.schema.json").write_text(json.dumps(kind))
    schemas = Schemas((tmp_path, ROOT))
    assert {"masked", "mine"} <= set(schemas.kinds("loss"))
    assert (
        "mine"
        in schemas.schema("family")["properties"]["loss"]["properties"]["kind"]["enum"]
    )
