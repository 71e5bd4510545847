"""Logits of a linear output layer, computed for a chunk of rows at a time.

What the operators on logits share: their precision, the loop over chunks, and memory
for gradients.

Shapes: N rows, D width of the hidden states, V vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from xlmgen.runtime.nn.linear import by_onednn, onednn_pays

CHUNK_CPU, CHUNK = 2**24, 2**26
"""Logits of one chunk: enough rows for an efficient product."""
CACHED = 2**18
"""Logits of a chunk that a CPU passes over together: what its cache holds."""

Ids = tuple[int, ...]


def product_input(hidden: Tensor) -> Tensor:
    """Hidden states in the precision of their products."""
    kind, dtype = hidden.device.type, hidden.dtype
    # Autocast narrows float32 and leaves float64 as it is.
    known = torch.amp.is_autocast_available(kind)
    if known and torch.is_autocast_enabled(kind) and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(kind)
    return hidden.to(torch.float32 if dtype == torch.float16 else dtype)


@contextmanager
def products(x: Tensor, weight: Tensor) -> Iterator[None]:
    """Products in the precision of x and W, by the faster library."""
    plain = torch.autocast(x.device.type, enabled=False)
    with plain, by_onednn(enabled=onednn_pays(x, weight)):
        yield


def logit_chunks(
    x: Tensor, weight: Tensor, bias: Tensor | None
) -> Iterator[tuple[slice, Tensor]]:
    """Logits of some rows at a time, each chunk in the memory of the one before."""
    number = CHUNK_CPU if x.device.type == "cpu" else CHUNK
    chunks = _slices(len(x), len(weight), number)
    memory = x.new_empty(chunks[0].stop if chunks else 0, len(weight))
    for rows in chunks:
        logits = torch.mm(x[rows], weight.T, out=memory[: rows.stop - rows.start])
        yield rows, logits if bias is None else logits.add_(bias)


def cached_rows(rows: slice, logits: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Split a chunk of logits into parts that a CPU's cache holds; others take it all.

    Args:
        rows: of the chunk.
        logits: (n, V) of these rows.
    """
    number, columns = len(logits), logits.shape[1]
    entries = CACHED if logits.device.type == "cpu" else logits.numel()
    for part in _slices(number, columns, entries):
        yield slice(rows.start + part.start, rows.start + part.stop), logits[part]


def _slices(rows: int, columns: int, number: int) -> list[slice]:
    """Cut rows into slices of at most `number` entries."""
    step = max(1, number // max(1, columns))
    return [slice(begin, min(begin + step, rows)) for begin in range(0, rows, step)]


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def gradients_like(
    x: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for the gradients; of the parameters in float32 at least."""
    wide = wide_dtype(x.dtype)
    of_bias = x.new_empty(0 if bias is None else len(weight), dtype=wide)
    return torch.empty_like(x), x.new_empty(weight.shape, dtype=wide), of_bias


def of_parameters(
    weight: Tensor, of_weight: Tensor, bias: Tensor | None, of_bias: Tensor
) -> tuple[Tensor, Tensor | None]:
    of_weight = of_weight.to(weight.dtype)
    return of_weight, None if bias is None else of_bias.to(bias.dtype)
