"""Valid specs render to Python; invalid ones get diagnostics."""

import random
from functools import cache

import pytest
import yaml
from hypothesis import event, given, note
from hypothesis import strategies as st

from xlmgen.render import render
from xlmgen.spec.document import Document
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import COMPONENTS, built_in
from xlmgen.spec.validate import validate
from xlmgen.testing.combinations import SIZE, Combinations

from .conftest import few
from .drawing import mappings, values

TEXTS = ("name", "title", "summary", "papers", "sizes")


def document(data: dict) -> Document:
    """Draw a file with the data, written as YAML in one of several ways."""
    wide = random.Random(repr(data)).random() < 0.5
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=wide)
    note(text)
    return load_yaml("sample.yaml", text)


@cache
def fitting() -> list[dict]:
    """Return families of all valid mixes of kinds."""
    found = Combinations(built_in(), each=60).valid(each=2)
    return [
        {
            key: dict(component.data)
            for key, component in each.components.items()
            if component.data
        }
        for each in found
    ]


@st.composite
def families(draw) -> dict:
    """Draw a valid family with some options and texts that its schemas allow."""
    schemas = built_in()
    known = schemas.schema("family")["properties"]
    components = dict(draw(st.sampled_from(fitting())))
    for key in draw(st.lists(st.sampled_from(sorted(components)), max_size=2)):
        kind = components[key]["kind"]
        drawn = draw(mappings(schemas.kind(key, kind), {"kind": kind}))
        components[key] = drawn | components[key] if draw(st.booleans()) else drawn
    data = {"spec": "xlmgen/family/v1", "name": "sample", "title": "A sample"}
    data |= components | {"sizes": {"tiny": SIZE}}
    for key in draw(st.lists(st.sampled_from(TEXTS), max_size=2, unique=True)):
        data[key] = draw(values(known[key]))
    return data


@few(80)
@given(families())
def test_valid_family_renders_to_python(data):
    read = document(data)
    problems = validate(read, "family")
    event("refused" if problems else "rendered")
    if problems:
        assert all(p.message and p.line and p.file == "sample.yaml" for p in problems)
        return
    for path, text in render(family_spec(read)).items():
        assert text.encode("utf-8").decode("utf-8") == text
        if path.endswith(".py"):
            compile(text, path, "exec")
        elif path.endswith(".yaml") and path != "family.yaml":
            assert validate(load_yaml(path, text), "experiment") == []


def test_drawn_families_cover_every_kind():
    kinds = {
        (key, component["kind"])
        for data in fitting()
        for key, component in data.items()
    }
    assert kinds == {
        (component, k) for component in COMPONENTS for k in built_in().kinds(component)
    }


@pytest.mark.parametrize("file", ["task", "experiment", "family"])
@few(40)
@given(data=st.data())
def test_any_file_passes_or_gets_diagnostics(file, data):
    schema = built_in().schema(file)
    drawn = data.draw(mappings(schema, {"spec": f"xlmgen/{file}/v1"}))
    for problem in validate(document(drawn), file):
        assert problem.message
        assert problem.line >= 1
        assert problem.end_col > problem.col >= 1
