"""The names and shapes of a model's weights, read off its source without running it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.review.interpreter import MISTAKES, CannotTell, Find, Interpreter
from xlmgen.review.layers import Layer, Parameter, Shape, Tensor

__all__ = ["CannotTell", "Find", "Weights", "read_weights"]


@dataclass(frozen=True)
class Weights:
    """What a model's state dict holds.

    Args:
        shapes: every name with its shape, buffers that are saved included.
        parameters: how many trained numbers there are, shared ones counted once.
        multiplied: how many of them a token is multiplied with: the weights of linear
            layers, an embedding not among them unless it is also a head.
    """

    shapes: Mapping[str, Shape]
    parameters: int
    multiplied: int


def read_weights(
    find: Find, module: str, cls: str, arguments: Mapping[str, Any]
) -> Weights:
    """The weights of `cls(**arguments)`, a class that the module defines or imports.

    Raises:
        CannotTell: the source has something that is not understood.
    """
    interpreter = Interpreter(find)
    try:
        model = interpreter.name(cls, interpreter.scope(module))
        built = interpreter.build(model, arguments)
    except RecursionError as error:
        raise CannotTell(f"{module} calls itself too often") from error
    except MISTAKES as error:
        raise CannotTell(f"{module}: {error}") from error
    shapes: dict[str, Shape] = {}
    trained: dict[int, int] = {}
    multiplied: dict[int, int] = {}
    for path, owner, tensor in _walk(built, ""):
        shapes[path] = tensor.shape
        if isinstance(tensor, Parameter):
            trained[id(tensor)] = math.prod(tensor.shape)
            if owner.layer == "Linear" and len(tensor.shape) == 2:
                multiplied[id(tensor)] = math.prod(tensor.shape)
    return Weights(shapes, sum(trained.values()), sum(multiplied.values()))


def _walk(module: Layer, prefix: str) -> Iterator[tuple[str, Layer, Tensor]]:
    for name, tensor in module.buffers.items():
        yield f"{prefix}{name}", module, tensor
    for name, value in module.attributes.items():
        if isinstance(value, Parameter):
            yield f"{prefix}{name}", module, value
        elif isinstance(value, Layer):
            yield from _walk(value, f"{prefix}{name}.")
