"""Completions and hover texts in editors follow the schemas."""

import json
from itertools import count
from pathlib import Path

import pytest

from xlmgen.spec.schemas import COMPONENTS, FILES, built_in

ROOT = Path(__file__).parents[2]
KINDS = [
    (component, kind)
    for component in COMPONENTS
    for kind in built_in().kinds(component)
]
NUMBERS = count()
EMPTY = 'Incorrect type. Expected "object(xlmgen family)".'


def opened(editor, text, file="family"):
    """Open a text without its cursor `|`; return its URI and the position."""
    text = f"# yaml-language-server: $schema=schemas/{file}.schema.json\n{text}"
    before, _, after = text.partition("|")
    uri = editor.open(ROOT / f"unsaved{next(NUMBERS)}.yaml", before + after)
    return uri, before.count("\n"), len(before) - before.rfind("\n") - 1


def offered(editor, text, file="family"):
    """Return the completions at the cursor."""
    return set(editor.completions(*opened(editor, text, file)))


def shown(editor, text, file="family"):
    """Return the hover text at the cursor, without Markdown escapes."""
    return editor.hover(*opened(editor, text, file)).replace("\\", "")


def options(component, kind):
    """Return the keys of a kind, except `kind`, with their schemas."""
    schemas = dict(built_in().kind(component, kind)["properties"])
    del schemas["kind"]
    return schemas


@pytest.mark.parametrize("file", FILES)
def test_keys_of_file_are_completed_and_explained(file, editor):
    keys = built_in().schema(file)["properties"]
    assert offered(editor, "|\n", file) == set(keys)
    for key, schema in keys.items():
        assert schema["description"] in shown(editor, f"|{key}:\n", file)


@pytest.mark.parametrize("file", FILES)
def test_spec_line_is_completed(file, editor):
    written = editor.completions(*opened(editor, "|\n", file))
    assert written["spec"] == f"spec: xlmgen/{file}/v1"


@pytest.mark.parametrize("component", COMPONENTS)
def test_kinds_of_component_are_completed(component, editor):
    kinds = set(built_in().kinds(component))
    assert offered(editor, f"{component}:\n  kind: |\n") == kinds
    assert offered(editor, f"{component}: {{kind: |}}\n") == kinds


@pytest.mark.parametrize(("component", "kind"), KINDS)
def test_options_of_kind_are_completed_and_explained(component, kind, editor):
    """Between braces a letter is needed first; the editor then filters the list."""
    keys = options(component, kind)
    assert offered(editor, f"{component}:\n  kind: {kind}\n  |\n") == set(keys)
    if keys:
        text = f"{component}: {{kind: {kind}, {min(keys)[0]}|}}\n"
        assert offered(editor, text) == set(keys)
    for key, schema in keys.items():
        value = json.dumps(schema.get("default", schema["examples"][0]))
        text = f"{component}: {{kind: {kind}, |{key}: {value}}}\n"
        assert schema["description"] in shown(editor, text)


@pytest.mark.parametrize(("component", "kind"), KINDS)
def test_values_of_option_are_completed(component, kind, editor):
    for key, schema in options(component, kind).items():
        values = {v for v in schema.get("enum", ()) if isinstance(v, str)}
        if values:
            assert (
                offered(editor, f"{component}: {{kind: {kind}, {key}: |}}\n") == values
            )
            text = f"{component}:\n  kind: {kind}\n  {key}: |\n"
            assert offered(editor, text) == values


@pytest.mark.parametrize("component", COMPONENTS)
def test_empty_component_needs_kind(component, editor):
    """It does not need keys that only one of its kinds requires."""
    assert offered(editor, f"{component}:\n  |\n") == {"kind"}
    uri, _, _ = opened(editor, f"{component}:\n")
    about = [m for _, m in editor.diagnostics(uri) if not m.startswith("Missing")]
    optional = component == "noise_schedule"
    assert about == ([] if optional else [EMPTY])


@pytest.mark.parametrize("component", COMPONENTS)
def test_component_is_explained_by_its_kind(component, editor):
    for kind in built_in().kinds(component):
        about = built_in().kind(component, kind)["description"]
        assert about in shown(editor, f"|{component}:\n  kind: {kind}\n")


@pytest.mark.parametrize(
    ("file", "text", "path"),
    [
        ("family", "sizes:\n  tiny:\n    |", "$defs size"),
        ("experiment", "model:\n  |", "properties model"),
        ("experiment", "training:\n  |", "properties training"),
        ("experiment", "evaluation:\n  |", "properties evaluation"),
        ("task", "source:\n  files: {train: a.txt}\n  |", "$defs files"),
        ("task", "source:\n  files:\n    |", "$defs files properties files"),
        ("task", "source:\n  python: a:b\n  |", "$defs python"),
        ("task", "tokenizer:\n  kind: vocabulary\n  |", "$defs vocabulary"),
        ("task", "tokenizer:\n  kind: bpe\n  |", "$defs bpe"),
        ("task", "tokenizer:\n  kind: file\n  |", "$defs file"),
        ("task", "tokenizer:\n  kind: byte\n  |", "$defs bare"),
    ],
)
def test_keys_of_nested_mapping_are_completed(file, text, path, editor):
    schema = built_in().schema(file)
    for part in path.split():
        schema = schema[part]
    there = {line.strip().partition(":")[0] for line in text.splitlines()}
    assert offered(editor, f"{text}\n", file) == set(schema["properties"]) - there


@pytest.mark.parametrize("name", built_in().kinds("generator"))
def test_settings_of_generator_are_completed(name, editor):
    settings = set(built_in().kind("generator", name)["properties"]) - {"generator"}
    text = f"source:\n  generator: {name}\n  |\n"
    assert offered(editor, text, "task") == settings


@pytest.mark.parametrize(
    ("file", "text", "values"),
    [
        ("family", "spec: |", {"xlmgen/family/v1"}),
        ("task", "spec: |", {"xlmgen/task/v1"}),
        ("task", "layout: |", {"lm", "seq2seq", "infill"}),
        ("task", "packing: |", {"none", "packed", "documents"}),
        ("experiment", "spec: |", {"xlmgen/experiment/v1"}),
        ("experiment", "training: {compile: |}", {"true", "false"}),
        ("experiment", "training: {accelerator: |}", {"auto", "cpu", "gpu"}),
        ("experiment", "loggers:\n  - |", {"tensorboard", "wandb", "trackio"}),
    ],
)
def test_values_of_key_are_completed(file, text, values, editor):
    assert offered(editor, f"{text}\n", file) == values
