"""The calculations that a constructor may do with numbers."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from xlmgen.review.layers import Computed, Tensor
from xlmgen.review.source import External

BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "bool": bool,
    "enumerate": lambda items: list(enumerate(items)),
    "float": float,
    "int": int,
    "len": len,
    "max": max,
    "min": min,
    "range": range,
    "round": round,
    "sum": sum,
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "math.log": math.log,
    "math.log2": math.log2,
    "math.sqrt": math.sqrt,
}


def calculate(op: ast.operator, left: Any, right: Any) -> Any:
    """What an operator makes of two values; of a tensor, something computed."""
    if isinstance(left, Tensor | Computed) or isinstance(right, Tensor | Computed):
        return Computed()
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if type(op) not in BINARY or not numbers:
        raise TypeError("such a calculation is not understood")
    return BINARY[type(op)](left, right)


def plain(value: Any) -> Any:
    """A value that a condition may depend on."""
    if isinstance(value, Tensor | Computed | External):
        raise TypeError("a condition on something that is not known")
    return value
