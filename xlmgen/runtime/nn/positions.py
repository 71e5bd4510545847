"""Chosen positions of a batch.

A loss or a predictor looks at few positions. Only these are queries of a last layer,
and only they go through what follows it.

Shapes: B rows, L positions, N chosen ones, M the most of a row.
"""

import torch
from torch import Tensor


def select_positions(x: Tensor, positions: Tensor | None) -> Tensor:
    """Select positions of a batch.

    Args:
        x: (B, L, …).
        positions: (N,) flat positions, row · L + column; None is all of them.

    Returns:
        (N, …); with None x as it is.
    """
    return x if positions is None else x.flatten(0, 1)[positions]


def positions_by_row(
    positions: Tensor, rows: int, length: int
) -> tuple[Tensor, Tensor]:
    """Arrange flat positions in a table with a line for every row of the batch.

    Args:
        positions: (N,) flat positions, row · length + column.

    Returns:
        the columns (B, M), filled up with 0, and the flat places (N,) of the positions
        in this table.
    """
    row = positions // length
    counts = row.bincount(minlength=rows)  # (B,)
    most = max(1, int(counts.max()))
    order = row.argsort(stable=True)
    first = counts.cumsum(0) - counts
    place = torch.empty_like(positions)  # of each in its line
    place[order] = (
        torch.arange(len(positions), device=positions.device) - first[row[order]]
    )
    columns = positions.new_zeros(rows, most)
    columns[row, place] = positions % length
    return columns, row * most + place


def select_columns(x: Tensor, columns: Tensor) -> Tensor:
    """Select columns (B, M) of x (B or 1, L, …): (B, M, …)."""
    lines = torch.arange(len(columns), device=columns.device)[:, None]
    return x.expand(len(columns), *x.shape[1:])[lines, columns]
