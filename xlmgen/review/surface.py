"""Compare the public names and the code of two versions of a rendered module."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

FROM_SPEC = ("sizes", "title")
"""Arguments of `FAMILY` that are compared as values of the spec, not as code."""
NOT_PYTHON = (SyntaxError, ValueError, RecursionError)
"""Errors of parsing: for conflict markers, null bytes and very deep nesting."""


class Parameter(NamedTuple):
    name: str
    required: bool


Signature = tuple[Parameter, ...]


def broken(before: str, after: str) -> list[str]:
    """Describe public names of the old module that the new one lacks or changes."""
    try:
        new = surface(after)
    except NOT_PYTHON as error:
        return [f"it is not Python: {error}"]
    try:
        old = surface(before)
    except NOT_PYTHON:
        return []
    return [text for name in old for text in _broken(name, old[name], new.get(name))]


def surface(text: str) -> dict[str, Signature]:
    """Return the parameters of a module's public names, methods and fields by name.

    Names that cannot be called have no parameters.

    Raises:
        SyntaxError, ValueError, RecursionError: the text is not Python.
    """
    return dict(_names(ast.parse(text).body, ""))


def same_code(before: str, after: str) -> bool:
    """Whether two modules differ only in comments, docstrings and layout."""
    try:
        return before == after or _code(before) == _code(after)
    except NOT_PYTHON:
        return False


def _names(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Signature]]:
    for node in body:
        match node:
            case ast.ClassDef(name=name, body=inside) if _public(name):
                yield f"{prefix}{name}", ()
                yield from _names(inside, f"{prefix}{name}.")
            case ast.FunctionDef(name=name, args=args) if _public(name):
                yield f"{prefix}{name}", tuple(_parameters(args, method=bool(prefix)))
            case (
                ast.Assign(targets=[ast.Name(id=name)])
                | ast.AnnAssign(target=ast.Name(id=name))
            ) if _public(name):
                yield f"{prefix}{name}", ()


def _public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__call__")


def _parameters(args: ast.arguments, *, method: bool) -> Iterator[Parameter]:
    positional = [*args.posonlyargs, *args.args]
    needed = len(positional) - len(args.defaults)
    for place, arg in enumerate(positional):
        if not (method and place == 0):
            yield Parameter(arg.arg, place < needed)
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield Parameter(arg.arg, default is None)


def _broken(name: str, old: Signature, new: Signature | None) -> Iterator[str]:
    if new is None:
        yield f"{name} is gone"
        return
    taken = {parameter.name for parameter in old}
    for parameter in old:
        if parameter.name not in {p.name for p in new}:
            yield f"{name} no longer takes {parameter.name}"
    for parameter in new:
        now_needed = Parameter(parameter.name, False) in old
        if parameter.required and (parameter.name not in taken or now_needed):
            yield f"{name} needs {parameter.name}"


def _code(text: str) -> str:
    return ast.dump(_Plain().visit(ast.parse(text)))


class _Plain(ast.NodeTransformer):
    """Removes docstrings, and arguments of `FAMILY` that come from the spec."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(
            node.value.value, str
        )
        return None if text else node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "Family":
            node.keywords = [k for k in node.keywords if k.arg not in FROM_SPEC]
        return node


def differing(
    before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield path, old text and new text of every file that differs."""
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old != new:
            yield path, old, new
