"""From the stream to logits: of all tokens, of stopping, of the tokens that miss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from xlmgen.runtime.nn.linear import Linear, product

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

LARGE = 2**20
"""So many logits are worth waiting for where nothing is learnt from them."""


class Head(Linear):
    """`Linear`, of which chosen positions come as `Logits` on a CPU.

    There x (N, D) gives logits that are not made until somebody looks at them.
    `cross_entropy` and `log_partition` do not: they make a piece of them at a time.
    Elsewhere a loss would have to wait for the device to find out how the pieces are
    weighed.
    """

    def forward(self, x: Tensor) -> Tensor:
        pays = (
            x.dim() == 2
            and x.device.type == "cpu"
            and self.bias is None
            and (learns(x, self.weight) or len(x) * len(self.weight) >= LARGE)
            and not torch.compiler.is_compiling()
        )
        return Logits(x, self.weight) if pays else super().forward(x)


def learns(x: Tensor, weight: Tensor) -> bool:
    """Whether a gradient of their product is kept."""
    return torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)


class Logits(Tensor):
    """x Wᵀ (…, V), made when it is first looked at, and then for good.

    Args:
        x: (…, D).
        weight: (V, D).

    In every way but this it is the tensor that a linear layer gives. Choosing some rows
    is no such look: it gives the logits of these rows, which are not made either.
    A hook of the gradient is, unless it only waits for it: `hooks_wait` puts it on x.
    """

    x: Tensor
    weight: Tensor
    hooks_wait: bool
    _made: Tensor | None

    @staticmethod
    def __new__(cls, x: Tensor, weight: Tensor) -> Logits:
        # Autocast narrows float32 and leaves float64 as it is.
        if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
            x = x.to(torch.get_autocast_dtype(x.device.type))
        logits: Logits = Tensor._make_wrapper_subclass(
            cls,
            (*x.shape[:-1], len(weight)),
            dtype=x.dtype,
            device=x.device,
            requires_grad=learns(x, weight),
        )
        logits.x, logits.weight = x, weight
        logits.hooks_wait, logits._made = False, None
        with torch._C.DisableTorchFunctionSubclass():
            if logits.requires_grad:
                logits.register_hook(_refuse)  # type: ignore[no-untyped-call]
        return logits

    @property
    def is_made(self) -> bool:
        return self._made is not None

    def made(self) -> Tensor:
        """The tensor itself."""
        if self._made is None:
            # Who looks first may not want gradients, and the next one may.
            learnt = self.requires_grad
            with torch.inference_mode(False), torch.set_grad_enabled(learnt):
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
        if _chooses_rows(func, args):
            logits = args[0]
            return Logits(func(logits.x, *args[1:]), logits.weight)
        return func(*_made(args), **_made(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"logits that are not made are no tensor yet; {CURE}")


def _chooses_rows(func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether this is done to rows of logits that are not made, and to nothing else."""
    logits = args[0] if args else None
    if not isinstance(logits, Logits) or logits.is_made or len(args) < 2:
        return False
    if func is Tensor.unflatten:
        return len(args) == 3 and args[1] == 0 and logits.dim() > 1
    keys = args[1] if type(args[1]) is tuple else (args[1],)
    return func is Tensor.__getitem__ and sum(map(_indexed, keys)) < logits.dim()


def _indexed(key: Any) -> float:
    """How many dimensions an index is of; ∞ where that cannot be said of it alone."""
    if type(key) is slice:
        return 1
    if type(key) is not Tensor:
        return math.inf
    return key.dim() if key.dtype == torch.bool else 1


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
