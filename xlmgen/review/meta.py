"""Build networks on torch's meta device, which has shapes but no numbers.

`measure` runs in a subprocess. It renders specs with the packaged templates, so that it
runs xlmgen's code only.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xlmgen.io import bounded
from xlmgen.render.files import render_here
from xlmgen.render.python import class_name
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.project import BUILT_IN

if TYPE_CHECKING:
    from torch import nn

Request = tuple[Sequence[tuple[FamilySpec, Sequence[str]]], int, int]
"""Specs, each with the names of sizes; the vocabulary; the length of a row."""


def measure(request: Request) -> list[dict[str, dict[str, Any]]]:
    """Measure every network; return the fields of `Network` or `Unknown` for JSON.

    Raises:
        UserError: a spec has a kind that is not packaged.
    """
    specs, vocabulary, length = request
    return [_sizes(spec, sizes, vocabulary, length) for spec, sizes in specs]


def _sizes(
    spec: FamilySpec, sizes: Sequence[str], vocabulary: int, length: int
) -> dict[str, dict[str, Any]]:
    model = model_class(spec) if sizes else None
    answers = {}
    for size in sizes:
        bounded.report(f"{spec.name}, size {size}")
        try:
            answers[size] = _measured(model, spec.sizes[size], vocabulary, length)
        except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            answers[size] = {"reason": f"no network has such numbers: {reason}"}
    return answers


def model_class(spec: FamilySpec) -> type[nn.Module]:
    """Return a family's network class, rendered with the packaged templates."""
    file = f"model_{spec.name}.py"
    source = render_here(spec, BUILT_IN.templates)[file]
    module = ModuleType(spec.name)
    exec(compile(source, file, "exec"), module.__dict__)
    return getattr(module, f"{class_name(spec.name)}Model")


def _measured(
    model: Any, numbers: Mapping[str, int], vocabulary: int, length: int
) -> dict[str, Any]:
    import torch

    with torch.device("meta"):
        network = model(vocabulary, **numbers)
        flops = training_flops(network, length)
    return {
        "shapes": {key: list(t.shape) for key, t in network.state_dict().items()},
        "modules": parameters_by_module(network),
        "flops": flops,
    }


def parameters_by_module(network: nn.Module) -> dict[str, int]:
    """Count the trained parameters of a network's direct submodules, by name.

    A parameter that several modules share counts with the first one.
    """
    modules: dict[str, int] = {}
    for name, parameter in network.named_parameters():  # without repetition
        module = name.partition(".")[0]
        modules[module] = modules.get(module, 0) + parameter.numel()
    return modules


def training_flops(network: nn.Module, length: int) -> int:
    """Count the floating-point operations of training per token of one row.

    Torch counts the matrix products of a forward and a backward pass over one row with
    logits at every position. Attention is over all positions.

    Args:
        length: tokens of the row.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.zeros(1, length, dtype=torch.long)
    inputs = {}
    if "t" in inspect.signature(network.forward).parameters:
        inputs["t"] = torch.zeros(1)
    # Fused kernels recompute scores in the backward pass; the plain ones do not.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        found = network(ids, **inputs)
        outputs = found if isinstance(found, tuple) else (found,)
        torch.autograd.backward([output.sum() for output in outputs])
    return round(counter.get_total_flops() / length)
