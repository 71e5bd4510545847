"""Checks of a family's spec that JSON Schema cannot express."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterator
from typing import Any

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document, Path
from xlmgen.spec.messages import show

# Packages that a family's code or tests import, or that are commonly installed beside
# them. A family of the same name would shadow them.
TAKEN = frozenset(
    """
    conftest datasets einops family flax jax jaxtyping jinja2 jsonschema lightning
    matplotlib numpy pandas pip pytest pytorch_lightning rich safetensors scipy
    setuptools tensorboard tensorflow tests tokenizers torch torchmetrics torchvision
    transformers triton typer wandb xlmgen yaml
    """.split()  # noqa: SIM905
)


def check(document: Document) -> Iterator[Diagnostic]:
    """Problems of a family's document; values of the wrong type are skipped."""
    data = document.data or {}
    yield from _name(document, data.get("name"))
    sizes = data.get("sizes")
    for size, numbers in sizes.items() if isinstance(sizes, dict) else ():
        if isinstance(numbers, dict):
            yield from _size(document, ("sizes", size), numbers)


def _name(document: Document, name: Any) -> Iterator[Diagnostic]:
    if not isinstance(name, str):
        return
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        what = "a word of the Python language"
    elif name in sys.stdlib_module_names:
        what = "a module of Python's standard library"
    elif name in TAKEN:
        what = "the name of another package or of a part of a family"
    else:
        return
    yield document.diagnostic(
        "XG107", ("name",), f"{show(name)} is {what}", f"for example my_{name}"
    )


def _size(
    document: Document, path: Path, numbers: dict[str, Any]
) -> Iterator[Diagnostic]:
    d_model, num_heads = (
        _positive(numbers.get(key)) for key in ("d_model", "num_heads")
    )
    if d_model and num_heads:
        even = 2 * num_heads * max(1, round(d_model / (2 * num_heads)))
        if d_model % num_heads:
            yield document.diagnostic(
                "XG109",
                (*path, "num_heads"),
                f"d_model {d_model} is not divisible by {num_heads} heads",
                f"for example d_model: {even}",
            )
        elif d_model // num_heads % 2:
            yield document.diagnostic(
                "XG109",
                (*path, "num_heads"),
                f"d_model {d_model} over {num_heads} heads leaves "
                f"{d_model // num_heads} numbers per head; rotary positions need an "
                "even number",
                f"for example d_model: {even}",
            )
    num_kv_heads = _positive(numbers.get("num_kv_heads"))
    if num_heads and num_kv_heads and num_heads % num_kv_heads:
        yield document.diagnostic(
            "XG109",
            (*path, "num_kv_heads"),
            f"{num_heads} heads cannot be shared evenly among {num_kv_heads} key and "
            "value heads",
        )


def _positive(value: Any) -> int:
    """Return a value that is a positive integer, else 0."""
    return value if isinstance(value, int) and value > 0 and value is not True else 0
