"""Layers of torch as the interpreter builds them: names and shapes, no numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]

NO_WEIGHTS = frozenset(
    "Dropout GELU Identity ReLU SiLU Sigmoid Softmax Softplus Tanh".split()  # noqa: SIM905
)


@dataclass(eq=False)
class Tensor:
    """A tensor of known shape."""

    shape: Shape


class Parameter(Tensor):
    """A tensor that is trained."""


@dataclass(eq=False)
class Computed:
    """A tensor of unknown shape, which matters only where it is saved."""


@dataclass(eq=False)
class Layer:
    """A layer, with its weights, layers and plain values by name.

    Args:
        layer: torch's name of it, such as `Linear`.
        buffers: those that are saved with the weights.
    """

    layer: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)

    def append(self, item: Any) -> None:
        self.attributes[str(len(self.attributes))] = item


def _linear(
    made: Layer, in_features: int, out_features: int, bias: bool = True, **_: Any
) -> None:
    made.attributes["weight"] = parameter(out_features, in_features)
    if bias:
        made.attributes["bias"] = parameter(out_features)


def _embedding(made: Layer, num_embeddings: int, embedding_dim: int, **_: Any) -> None:
    made.attributes["weight"] = parameter(num_embeddings, embedding_dim)


def _layer_norm(
    made: Layer,
    normalized_shape: int | Shape,
    eps: float = 1e-5,
    elementwise_affine: bool = True,
    bias: bool = True,
) -> None:
    if elementwise_affine:
        made.attributes["weight"] = parameter(*as_shape(normalized_shape))
        if bias:
            made.attributes["bias"] = parameter(*as_shape(normalized_shape))


def _rms_norm(
    made: Layer,
    normalized_shape: int | Shape,
    eps: float | None = None,
    elementwise_affine: bool = True,
) -> None:
    _layer_norm(made, normalized_shape, 0.0, elementwise_affine, bias=False)


def _sequential(made: Layer, *layers: Any) -> None:
    for layer in layers:
        made.append(layer)


def _module_list(made: Layer, layers: Any = ()) -> None:
    _sequential(made, *layers)


def _module_dict(made: Layer, layers: Mapping[str, Any] | None = None) -> None:
    made.attributes.update(layers or {})


def _nothing(made: Layer, *_: Any, **__: Any) -> None:
    pass


LAYERS: Mapping[str, Callable[..., None]] = {
    "Embedding": _embedding,
    "LayerNorm": _layer_norm,
    "Linear": _linear,
    "Module": _nothing,
    "ModuleDict": _module_dict,
    "ModuleList": _module_list,
    "RMSNorm": _rms_norm,
    "Sequential": _sequential,
    **dict.fromkeys(NO_WEIGHTS, _nothing),
}


def as_shape(value: Any) -> Shape:
    numbers = value if isinstance(value, tuple | list) else (value,)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise TypeError("a shape is made of integers")
    return tuple(numbers)


def parameter(*shape: int) -> Parameter:
    return Parameter(as_shape(shape))


def saved(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError("the shape of what is saved is not known")
    return value
