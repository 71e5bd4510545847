"""Linear layers, in float32 on a CPU by the faster of PyTorch's two libraries."""

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
    """`nn.Linear` whose float32 products on a CPU are oneDNN's, where those are exact.

    PyTorch gives them to MKL, which on processors that are not Intel's leaves half of
    the machine unused. With the matrix precision "medium" it gives them to oneDNN,
    which then may round to bfloat16: it does so on processors with matrix tiles and
    nowhere else. There, and everywhere but in float32 on a CPU, this is `nn.Linear`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not faster(x, self.weight):
            return super().forward(x)
        if not torch.is_grad_enabled():
            with by_onednn():
                return super().forward(x)
        y = product(x, self.weight)
        return y if self.bias is None else y + self.bias


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x Wᵀ; x (…, in), W (out, in)."""
    if not faster(x, weight):
        return F.linear(x, weight)
    y: Tensor = _Product.apply(x, weight)  # type: ignore[no-untyped-call]
    return y


def faster(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN should multiply these."""
    return (
        weight.dtype == torch.float32
        and x.numel() >= FEWEST_ROWS * x.shape[-1]
        and x.numel() * len(weight) >= FEWEST_PRODUCTS
        and onednn_can(x)
    )


def onednn_can(x: Tensor) -> bool:
    """Whether products of this are float32's on a CPU, and oneDNN's are as exact."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and onednn_is_exact()
    )


class _Product(torch.autograd.Function):
    """`product` and its gradients."""

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


@contextmanager
def by_onednn() -> Iterator[None]:
    """Float32 products within it are oneDNN's; ask `onednn_can` before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def onednn_is_exact() -> bool:
    """Whether oneDNN keeps all bits of float32 here, found out by multiplying."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    fine = 1 + torch.arange(64.0) * 2**-20  # all of it 1 in bfloat16
    with by_onednn(), torch.no_grad():
        y = F.linear(fine.expand(64, 64), torch.eye(64))
    return torch.equal(y, fine.expand(64, 64))
