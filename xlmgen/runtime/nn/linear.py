"""Linear layers whose float32 products on a CPU are those of the faster library.

PyTorch gives float32 products on a CPU to MKL, which leaves half of an AMD processor
with AVX-512 unused; oneDNN does not. Without AVX-512 neither is faster, and here they
are PyTorch's own. `onednn_pays` decides, everything else asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEWEST_ROWS, FEWEST_PRODUCTS = 4, 2**21
"""Below them the longer way into oneDNN costs more than its products gain."""


class Linear(nn.Linear):
    """`nn.Linear` whose products are oneDNN's where those are faster and as exact."""

    def forward(self, x: Tensor) -> Tensor:
        if not onednn_pays(x, self.weight):
            return super().forward(x)
        y = product(x, self.weight)
        return y if self.bias is None else y + self.bias


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x Wᵀ; x (…, in), W (out, in)."""
    if not onednn_pays(x, weight):
        return F.linear(x, weight)
    y: Tensor = _Product.apply(x, weight)  # type: ignore[no-untyped-call]
    return y


class _Product(torch.autograd.Function):
    """`product` by oneDNN, and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with by_onednn():
            return F.linear(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        with by_onednn():
            if ctx.needs_input_grad[0]:
                of_x = gradient @ weight
            if ctx.needs_input_grad[1]:
                of_weight = gradient.flatten(0, -2).T @ x.flatten(0, -2)
        return of_x, of_weight


def onednn_pays(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN should multiply x Wᵀ: faster here, and as exact."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() >= FEWEST_ROWS * x.shape[-1]
        and x.numel() * len(weight) >= FEWEST_PRODUCTS
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and onednn_is_faster()
        and onednn_is_exact()
    )


@contextmanager
def by_onednn(*, enabled: bool = True) -> Iterator[None]:
    """Float32 products within it are oneDNN's; ask `onednn_pays` before."""
    if not enabled:
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def onednn_is_faster() -> bool:
    """Whether this processor has AVX-512, without which oneDNN gains nothing."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


@cache
def onednn_is_exact() -> bool:
    """Whether oneDNN keeps all bits of float32 here, found out by multiplying.

    The precision "medium" lets it round to bfloat16: it does so on processors with
    matrix tiles and nowhere else.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    fine = 1 + torch.arange(64.0) * 2**-20  # all of it 1 in bfloat16
    with by_onednn(), torch.no_grad():
        y = F.linear(fine.expand(64, 64), torch.eye(64))
    return torch.equal(y, fine.expand(64, 64))
