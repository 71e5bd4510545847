"""The positions of a last layer that anybody looks at.

In generation the head is run on few positions. Only these are queries of the last
layer, and only they go through its feed-forward: of the others it needs the keys and
values. What comes out is the same.

Shapes: B rows, L positions, N chosen ones, M the most of a row.
"""

import torch
from torch import Tensor


def columns_of(
    at: Tensor | None, input_ids: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Chosen positions as a table with a line for every row.

    In training a row of the batch is seldom without noise almost everywhere: there
    this gives no table.

    Args:
        at: (N,) flat positions, row · L + column, or None for all of them.
        input_ids: (B, L).

    Returns:
        the columns (B, M), filled up with 0, and the flat positions (N,) in this table;
        or None, and `at` as it is.
    """
    if at is None or torch.is_grad_enabled():
        return None, at
    rows, length = input_ids.shape
    row = at // length
    counts = row.bincount(minlength=rows)  # (B,)
    most = max(1, int(counts.max()))
    order = row.argsort(stable=True)
    first = counts.cumsum(0) - counts
    place = torch.empty_like(at)  # of each in its line
    place[order] = torch.arange(len(at), device=at.device) - first[row[order]]
    columns = at.new_zeros(rows, most)
    columns[row, place] = at % length
    return columns, row * most + place


def take(x: Tensor, columns: Tensor | None) -> Tensor:
    """What x (B or 1, L, …) is at the columns (B, M): (B, M, …); None is all of it."""
    if columns is None:
        return x
    lines = torch.arange(len(columns), device=columns.device)[:, None]
    return x.expand(len(columns), *x.shape[1:])[lines, columns]
