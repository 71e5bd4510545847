"""What a module's source defines, as syntax: nothing of it is imported or run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class External:
    """Something of a package that is not followed, such as `torch.nn.Linear`."""

    path: str


@dataclass(frozen=True, eq=False)
class Class:
    scope: Scope
    node: ast.ClassDef


@dataclass(frozen=True, eq=False)
class Function:
    scope: Scope
    node: ast.FunctionDef


@dataclass(eq=False)
class Scope:
    """One module: what its top level defines, evaluated when it is asked for."""

    module: str
    definitions: dict[str, ast.AST]
    origins: dict[str, tuple[str, str]]  # imported name → module and name there


@dataclass
class Frame:
    """A running function; of a method, the first name is the layer itself."""

    scope: Scope
    names: dict[str, Any]
    owner: Class | None = None  # the class whose method it is

    @property
    def own(self) -> Any:
        return next(iter(self.names.values()))


def read_scope(module: str, text: str) -> Scope:
    definitions: dict[str, ast.AST] = {}
    origins: dict[str, tuple[str, str]] = {}
    package = module.split(".")[:-1]
    for node in ast.parse(text).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                definitions[name] = node
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                definitions[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                definitions[name] = value
            case ast.Import(names=names):
                for alias in names:
                    origin = alias.name if alias.asname else alias.name.split(".")[0]
                    origins[alias.asname or origin] = (origin, "")
            case ast.ImportFrom(module=source, names=names, level=level):
                above = package[: len(package) - level + 1] if level else []
                full = ".".join([*above, *([source] if source else [])])
                for alias in names:
                    origins[alias.asname or alias.name] = (full, alias.name)
    return Scope(module, definitions, origins)


def method_of(cls: Class, name: str) -> ast.FunctionDef | None:
    found = (
        node
        for node in cls.node.body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    return next(found, None)
