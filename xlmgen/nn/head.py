"""From the stream to the logits of all tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from xlmgen.nn.linear import Linear, product

KNOWN: tuple[Callable[..., Any], ...] = (
    *(
        getattr(Tensor, name).__get__
        for name in (
            "shape",
            "dtype",
            "device",
            "layout",
            "ndim",
            "requires_grad",
            "_base",  # of no other tensor's memory
        )
    ),
    Tensor.size,
    Tensor.dim,
    Tensor.numel,
    Tensor.__len__,
    Tensor.is_floating_point,
)
"""What can be said of logits before they are made."""


CURE = (
    "what bypasses torch's functions (`vmap`, an autograd.Function) needs logits.made()"
)


class Head(Linear):
    """`Linear`, of which chosen positions come as `Logits` in training on a CPU.

    There x (N, D) gives logits that are not made until somebody looks at them.
    `cross_entropy` does not: it makes a piece of them at a time. Elsewhere it would
    have to wait for the device to find out how the pieces are weighed.
    """

    def forward(self, x: Tensor) -> Tensor:
        pays = (
            x.dim() == 2
            and x.device.type == "cpu"
            and self.bias is None
            and torch.is_grad_enabled()
            and (x.requires_grad or self.weight.requires_grad)
            and not torch.compiler.is_compiling()
        )
        return Logits(x, self.weight) if pays else super().forward(x)


class Logits(Tensor):
    """x Wᵀ (N, V), made when it is first looked at, and then for good.

    Args:
        x: (N, D).
        weight: (V, D).

    In every way but this it is the tensor that a linear layer gives. Hooks of its
    gradient are such a look, unless they only wait for it: `hooks_wait` puts them on x.
    """

    x: Tensor
    weight: Tensor
    hooks_wait: bool
    _made: Tensor | None

    @staticmethod
    def __new__(cls, x: Tensor, weight: Tensor) -> Logits:
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        logits: Logits = Tensor._make_wrapper_subclass(
            cls,
            (len(x), len(weight)),
            dtype=x.dtype,
            device=x.device,
            requires_grad=True,
        )
        logits.x, logits.weight = x, weight
        logits.hooks_wait, logits._made = False, None
        with torch._C.DisableTorchFunctionSubclass():
            logits.register_hook(_refuse)  # type: ignore[no-untyped-call]
        return logits

    @property
    def is_made(self) -> bool:
        return self._made is not None

    def made(self) -> Tensor:
        """The tensor itself."""
        if self._made is None:
            # Who looks first may not want gradients, and the next one may.
            with torch.inference_mode(False), torch.enable_grad():
                self._made = product(self.x, self.weight.to(self.x.dtype))
        return self._made

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in KNOWN:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        if func is Tensor.register_hook and args[0].hooks_wait:
            return args[0].x.register_hook(*args[1:], **(kwargs or {}))
        return func(*_made(args), **_made(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"logits that are not made are no tensor yet; {CURE}")


def _refuse(gradient: Tensor) -> None:
    raise RuntimeError(f"a gradient of logits that are not made goes nowhere; {CURE}")


def _made(value: Any) -> Any:
    """A function's arguments with all logits made."""
    if isinstance(value, Logits):
        return value.made()
    if type(value) in (list, tuple):
        return type(value)(_made(item) for item in value)
    if type(value) is dict:
        return {key: _made(item) for key, item in value.items()}
    return value
