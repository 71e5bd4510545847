"""A small interpreter for the constructors of layers.

It follows numbers, conditions on them, loops over them, and the layers of `LAYERS`.
Where it meets something else it says so (`CannotTell`) and does not guess.

A function that is called for its effect alone, such as `initialise(self, layers)`, is
taken to give the weights values, not to add any.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xlmgen.review.layers import (
    LAYERS,
    Computed,
    Layer,
    Tensor,
    as_shape,
    parameter,
    saved,
)
from xlmgen.review.operations import COMPARISONS, FUNCTIONS, calculate, plain
from xlmgen.review.source import (
    Class,
    External,
    Frame,
    Function,
    Scope,
    method_of,
    read_scope,
)

Find = Callable[[str], str | None]  # a module's dotted name to its source

MAX_STEPS = 1_000_000  # expressions and statements; a thousand blocks take a seventh
MAX_ITEMS = 10_000  # of one loop

FILLED = frozenset(("empty", "ones", "rand", "randn", "zeros"))


# What a source that is not understood, or is wrong, makes the interpreter raise.
MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
)


class CannotTell(Exception):
    """The weights cannot be read off the source; the message says where and why."""


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class Interpreter:
    """Evaluates the constructors of layers."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.scopes: dict[str, Scope] = {}
        self.steps = 0

    # Names

    def scope(self, module: str) -> Scope:
        if module not in self.scopes:
            text = self.find(module)
            if text is None:
                raise CannotTell(f"there is no module {module}")
            try:
                self.scopes[module] = read_scope(module, text)
            except (SyntaxError, ValueError) as error:
                raise CannotTell(f"{module} is not Python: {error}") from error
        return self.scopes[module]

    def name(self, name: str, scope: Scope) -> Any:
        """What a name of a module's top level, or a built-in one, means."""
        if name in scope.definitions:
            node = scope.definitions[name]
            if isinstance(node, ast.ClassDef):
                return Class(scope, node)
            if isinstance(node, ast.FunctionDef):
                return Function(scope, node)
            assert isinstance(node, ast.expr)
            return self.value(node, Frame(scope, {}))
        if name in scope.origins:
            module, inner = scope.origins[name]
            if self.find(module) is None:
                return External(f"{module}.{inner}".removesuffix("."))
            return self.name(inner, self.scope(module))
        if name in FUNCTIONS or name in ("list", "tuple"):
            return External(name)
        raise NameError(f"{name} is not known")

    # Calls

    def build(self, cls: Any, arguments: Mapping[str, Any]) -> Layer:
        made = self.call(cls, [], dict(arguments))
        if not isinstance(made, Layer):
            raise CannotTell("the model is not a layer of torch")
        return made

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, Class):
            made = Layer()
            self.construct(made, function, args, kwargs)
            return made
        if isinstance(function, Function):
            return self.run(function, args, kwargs)
        if isinstance(function, External):
            return self.external(function.path, args, kwargs)
        raise TypeError("it cannot be called")

    def construct(
        self, made: Layer, cls: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        """Run the `__init__` of a class, its own or an inherited one."""
        if isinstance(cls, External):
            layer = cls.path.removeprefix("torch.nn.")
            if layer not in LAYERS:
                raise TypeError(f"{cls.path} is not a layer known here")
            made.layer = layer
            LAYERS[layer](made, *args, **kwargs)
            return
        method = method_of(cls, "__init__")
        if method is None:
            self.construct(made, self.base(cls), args, kwargs)
        else:
            self.run(Function(cls.scope, method), [made, *args], kwargs, cls)

    def base(self, cls: Class) -> Any:
        if len(cls.node.bases) != 1:
            raise TypeError(f"{cls.node.name} has not exactly one base")
        return self.value(cls.node.bases[0], Frame(cls.scope, {}))

    def external(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if path in FUNCTIONS:
            return FUNCTIONS[path](*args, **kwargs)
        if path in ("list", "tuple"):
            return list(*args)
        if path.startswith("torch.nn.init."):
            return None
        if path == "torch.nn.Parameter" or path == "torch.nn.parameter.Parameter":
            return parameter(*saved(args[0]).shape)
        if path.startswith("torch.nn.") and path.count(".") == 2:
            made = Layer()
            self.construct(made, External(path), args, kwargs)
            return made
        if path.removeprefix("torch.") in FILLED:
            return Tensor(as_shape(args[0] if len(args) == 1 else args))
        if path.startswith("torch."):
            return Computed()
        raise TypeError(f"{path} is not known")

    def run(
        self,
        function: Function,
        args: list[Any],
        kwargs: dict[str, Any],
        owner: Class | None = None,
    ) -> Any:
        names = self.bind(function, args, kwargs)
        try:
            self.block(function.node.body, Frame(function.scope, names, owner))
        except _Return as done:
            return done.value
        return None

    def bind(
        self, function: Function, args: list[Any], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        given = function.node.args
        if given.vararg or given.kwarg:
            raise TypeError("it takes any arguments")
        positional = [arg.arg for arg in (*given.posonlyargs, *given.args)]
        keywords = [arg.arg for arg in given.kwonlyargs]
        if len(args) > len(positional):
            raise TypeError("too many arguments")
        outside = Frame(function.scope, {})
        first = len(positional) - len(given.defaults)
        names = {
            name: self.value(default, outside)
            for name, default in zip(positional[first:], given.defaults, strict=True)
        }
        for name, default in zip(keywords, given.kw_defaults, strict=True):
            if default is not None:
                names[name] = self.value(default, outside)
        names |= dict(zip(positional, args, strict=False)) | kwargs
        wanted = {*positional, *keywords}
        if set(names) != wanted:
            listed = ", ".join(sorted(set(names) ^ wanted))
            raise TypeError(f"{function.node.name} and its call differ in {listed}")
        return {name: names[name] for name in (*positional, *keywords)}

    # Statements

    def block(self, body: list[ast.stmt], frame: Frame) -> None:
        for statement in body:
            with_place(self.statement, statement, frame)

    def statement(self, node: ast.stmt, frame: Frame) -> None:
        self.count()
        match node:
            case ast.Assign(targets=targets, value=value):
                result = self.value(value, frame)
                for target in targets:
                    self.assign(target, result, frame)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.assign(target, self.value(value, frame), frame)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                right = self.value(value, frame)
                frame.names[name] = calculate(op, frame.names[name], right)
            case ast.Expr(value=ast.Call() as call):
                self.effect(call, frame)
            case ast.If(test=test, body=body, orelse=orelse):
                self.block(body if self.truth(test, frame) else orelse, frame)
            case ast.For(target=target, iter=items, body=body, orelse=[]):
                for item in self.items(items, frame):
                    self.assign(target, item, frame)
                    self.block(body, frame)
            case ast.With(body=body):
                self.block(body, frame)
            case ast.Return(value=value):
                raise _Return(None if value is None else self.value(value, frame))
            case ast.Expr(value=ast.Constant()) | ast.Assert() | ast.Pass():
                pass
            case ast.AnnAssign():
                pass
            case _:
                raise TypeError("such a statement is not understood")

    def assign(self, target: ast.expr, value: Any, frame: Frame) -> None:
        match target:
            case ast.Name(id=name):
                frame.names[name] = value
            case ast.Attribute(value=owner, attr=name):
                module = self.value(owner, frame)
                if not isinstance(module, Layer):
                    raise TypeError("it is no layer whose attribute is set")
                module.attributes[name] = value
            case ast.Tuple(elts=targets):
                for inner, item in zip(targets, value, strict=True):
                    self.assign(inner, item, frame)
            case _:
                raise TypeError("such an assignment is not understood")

    def effect(self, call: ast.Call, frame: Frame) -> None:
        """A call whose result is not used."""
        match call.func:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name):
                assert frame.owner is not None
                if name != "__init__":
                    raise TypeError(f"super().{name} is not followed")
                args, kwargs = self.arguments(call, frame)
                self.construct(frame.own, self.base(frame.owner), args, kwargs)
            case ast.Attribute(value=owner, attr=name):
                self.method(self.value(owner, frame), name, call, frame)
            case _:
                pass  # gives weights values; see the module's docstring

    def method(self, owner: Any, name: str, call: ast.Call, frame: Frame) -> None:
        """A method called for its effect on a layer or a list."""
        cls = frame.owner
        own = cls and method_of(cls, name)
        args, kwargs = self.arguments(call, frame)
        if isinstance(owner, External) or name in ("apply", "requires_grad_", "to"):
            return
        if isinstance(owner, Layer) and name == "register_buffer":
            if kwargs.get("persistent", True):
                owner.buffers[args[0]] = saved(args[1])
        elif isinstance(owner, Layer) and name in ("register_parameter", "add_module"):
            owner.attributes[args[0]] = args[1]
        elif isinstance(owner, Layer | list) and name == "append":
            owner.append(args[0])
        elif cls and own and owner is frame.own:
            self.run(Function(cls.scope, own), [owner, *args], kwargs, cls)
        elif not isinstance(owner, Tensor | Computed):
            raise TypeError(f"what .{name}() does is not known")

    # Expressions

    def value(self, node: ast.expr, frame: Frame) -> Any:
        self.count()
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return (
                    frame.names[name]
                    if name in frame.names
                    else self.name(name, frame.scope)
                )
            case ast.Attribute(value=owner, attr=name):
                return _attribute(self.value(owner, frame), name)
            case ast.Call():
                args, kwargs = self.arguments(node, frame)
                return self.call(self.value(node.func, frame), args, kwargs)
            case ast.BinOp(left=left, op=op, right=right):
                return calculate(op, self.value(left, frame), self.value(right, frame))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return calculate(ast.Sub(), 0, self.value(operand, frame))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.truth(operand, frame)
            case ast.BoolOp(op=op, values=values):
                wanted = isinstance(op, ast.Or)
                for part in values[:-1]:
                    found = plain(self.value(part, frame))
                    if bool(found) is wanted:
                        return found
                return self.value(values[-1], frame)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                sides = (self.value(left, frame), self.value(right, frame))
                return COMPARISONS[type(op)](*sides)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.truth(test, frame) else orelse, frame)
            case ast.Tuple(elts=items):
                return tuple(self.value(item, frame) for item in items)
            case ast.List(elts=items):
                return [self.value(item, frame) for item in items]
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return {
                    self.value(key, frame): self.value(item, frame)
                    for key, item in zip(keys, values, strict=True)
                    if key is not None
                }
            case (
                ast.GeneratorExp(elt=element, generators=[loop])
                | ast.ListComp(elt=element, generators=[loop])
            ):
                return list(self.comprehension(element, loop, frame))
            case ast.Subscript(value=owner, slice=key):
                return self.value(owner, frame)[self.value(key, frame)]
            case ast.JoinedStr(values=parts):
                return "".join(str(plain(self.value(part, frame))) for part in parts)
            case ast.FormattedValue(value=inner, format_spec=None):
                return self.value(inner, frame)
            case _:
                raise TypeError("such an expression is not understood")

    def arguments(
        self, call: ast.Call, frame: Frame
    ) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        for argument in call.args:
            if isinstance(argument, ast.Starred):
                args += self.items(argument.value, frame)
            else:
                args.append(self.value(argument, frame))
        kwargs: dict[str, Any] = {}
        for keyword in call.keywords:
            value = self.value(keyword.value, frame)
            kwargs |= value if keyword.arg is None else {keyword.arg: value}
        return args, kwargs

    def comprehension(
        self, element: ast.expr, loop: ast.comprehension, frame: Frame
    ) -> Iterator[Any]:
        inner = Frame(frame.scope, dict(frame.names), frame.owner)
        for item in self.items(loop.iter, frame):
            self.assign(loop.target, item, inner)
            if all(self.truth(test, inner) for test in loop.ifs):
                yield self.value(element, inner)

    def items(self, node: ast.expr, frame: Frame) -> list[Any]:
        found = self.value(node, frame)
        if isinstance(found, Layer):
            found = found.attributes.values()
        if len(found) > MAX_ITEMS:
            raise TypeError(f"more than {MAX_ITEMS} items")
        return list(found)

    def truth(self, node: ast.expr, frame: Frame) -> bool:
        return bool(plain(self.value(node, frame)))

    def count(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise CannotTell("building the model takes too many steps")


def with_place(
    run: Callable[[ast.stmt, Frame], None], node: ast.stmt, frame: Frame
) -> None:
    """Run one statement; say where it is when it is not understood."""
    try:
        run(node, frame)
    except MISTAKES as error:
        line = ast.unparse(node).partition("\n")[0]
        place = f"{frame.scope.module}, line {node.lineno}"
        raise CannotTell(f"{place}: `{line}`: {error}") from error


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, External):
        return External(f"{owner.path}.{name}")
    if isinstance(owner, Layer):
        return owner.attributes[name]
    raise AttributeError(f"the attribute {name} is not known")
