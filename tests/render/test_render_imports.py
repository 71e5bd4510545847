"""Renders import public names of `xlmgen.runtime`, and nothing else of xlmgen."""

import ast
from importlib import import_module

import pytest

from xlmgen import resources

MODULES = sorted(resources.root().glob("families/*/*.py"))
TESTS = sorted(resources.root().glob("families/*/tests/*.py"))


def imported(path):
    """Module and name of every import of xlmgen in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        yield from (one for one in found if one[0].partition(".")[0] == "xlmgen")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_render_imports_public_names_of_the_runtime(path):
    for module, name in imported(path):
        assert module.startswith("xlmgen.runtime."), (module, name)
        assert name in import_module(module).__all__, (module, name)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rendered_test_imports_the_kit_its_family_and_the_runtime(path):
    allowed = ("xlmgen.testing", "xlmgen.families.", "xlmgen.runtime.")
    for module, name in imported(path):
        assert module.startswith(allowed), (module, name)


def test_every_family_is_looked_at():
    families = {path.parent.name for path in MODULES}
    assert families == {
        path.parent.name for path in resources.root().glob("families/*/family.yaml")
    }
    assert all(any(imported(path)) for path in MODULES if "loss" in path.stem)
