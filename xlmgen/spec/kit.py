"""The suites of `xlmgen.testing`, parsed because importing them is slow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xlmgen.spec.schemas import COMPONENTS

PACKAGE = "xlmgen.testing"
Place = tuple[str, str]  # a component and its option
Known = dict[str, tuple[str, str]]  # a variable's name → component or options, of which


@cache
def suites() -> frozenset[str]:
    """Names of the suites."""
    for node in _module(PACKAGE).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    raise AssertionError("the kit lists its suites in __all__")


@cache
def reads(suite: str, module: str = PACKAGE) -> frozenset[Place]:
    """Options of a spec's components that a suite needs, by component.

    These are the subscripts of `….spec.<component>.options` in its tests, inherited
    ones included, and in the methods that they use.
    """
    methods, found = _methods(suite, module), set[Place]()
    left = [name for name in methods if name.startswith("test_")]
    seen = set(left)
    while left:
        method = methods[left.pop()]
        found |= method.reads
        new = (method.uses & methods.keys()) - seen
        left += new
        seen |= new
    return frozenset(found)


@dataclass(frozen=True)
class Method:
    """Options that a method reads, and the attributes of `self` that it uses."""

    reads: frozenset[Place]
    uses: frozenset[str]


@cache
def _methods(suite: str, module: str) -> dict[str, Method]:
    """All methods of a suite, inherited ones included."""
    tree = _module(module)
    imported = {
        name.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if suite not in classes:
        origin = imported.get(suite, "")
        return _methods(suite, origin) if origin.startswith(PACKAGE) else {}
    found: dict[str, Method] = {}
    for base in reversed(classes[suite].bases):
        found |= _methods(ast.unparse(base), module)
    for node in classes[suite].body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = Method(frozenset(_subscripts(node)), _used(node))
    return found


@cache
def _module(name: str) -> ast.Module:
    path = Path(__file__).parents[2].joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _used(function: ast.FunctionDef) -> frozenset[str]:
    return frozenset(
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
    )


def _subscripts(function: ast.FunctionDef) -> Iterator[Place]:
    known: Known = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            meaning = _meaning(node.value, known)
            if meaning:
                known[node.targets[0].id] = meaning
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            what, component = _meaning(node.value, known) or ("", "")
            if what == "options":
                yield component, str(node.slice.value)


def _meaning(node: ast.expr, known: Known) -> tuple[str, str] | None:
    """Which component an expression is, or whose options: `self.spec.loss.options`."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if node.attr in COMPONENTS and ast.unparse(node.value).endswith("spec"):
        return "component", node.attr
    inner = _meaning(node.value, known)
    if node.attr == "options" and inner and inner[0] == "component":
        return "options", inner[1]
    return None
