"""All schemas are closed, describe their keys, and need no network."""

import json

import pytest
from jsonschema import Draft202012Validator

from xlmgen import resources
from xlmgen.io.json_schema import validator
from xlmgen.spec.schemas import BLOCKS, FILES, GENERATOR, Schemas, built_in, index_text

ROOT = resources.root() / "schemas"
PATHS = sorted(ROOT.rglob("*.schema.json"))
INDEXED = (*BLOCKS, GENERATOR)
INDEXES = [ROOT / "kinds" / f"{block}.schema.json" for block in INDEXED]


def test_required_files_and_kinds_exist():
    for file in FILES:
        assert built_in().schema(file)["type"] == "object"
    assert {"causal", "masking"} <= set(built_in().kinds("collator"))
    assert {"linear", "cosine", "polynomial", "geometric"} <= set(
        built_in().kinds("noise_schedule")
    )


@pytest.mark.parametrize("block", INDEXED)
def test_index_of_block_is_current(block):
    """If it fails, run `python -m xlmgen.spec.schemas`."""
    path = ROOT / "kinds" / f"{block}.schema.json"
    assert path.read_text("utf-8") == index_text(built_in().index(block))


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_schema_is_valid_closed_described_and_local(path):
    schema = json.loads(path.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    if path not in INDEXES:
        assert complaints(schema, path.name) == []


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
    reference = schema.get("$ref", "")
    if "://" in reference:
        found.append(f"{place}: refers to {reference}")
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
        _, block, file = name.split("/")
        return built_in().kind(block, file.removesuffix(".schema.json"))
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
