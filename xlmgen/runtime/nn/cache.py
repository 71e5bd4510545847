"""Keys and values of a network's earlier forward passes."""

import torch
from torch import Tensor


class KeyValueCache:
    """Preallocated keys and values: (layers, B, kv_heads, max_length, head_dim) each.

    `update` writes the new tokens of one layer behind `length`, the number of tokens
    already held; the model calls `advance` once per forward pass, after its last layer.
    """

    def __init__(
        self,
        layers: int,
        batch_size: int,
        num_kv_heads: int,
        max_length: int,
        head_dim: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (layers, batch_size, num_kv_heads, max_length, head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, num_kv_heads, L, head_dim); return all keys and values up to here."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, length: int) -> None:
        self.length += length

    def keep(self, rows: Tensor) -> None:
        """Keep the given rows (K,), in that order: finished rows leave the batch."""
        self.keys = self.keys[:, rows]
        self.values = self.values[:, rows]


class ColumnCache(KeyValueCache):
    """Keys and values at every column of rows of fixed length.

    For networks with bidirectional attention, where keys and values change with every
    token of the row. A forward pass computes those at some columns (`select`); all
    other columns keep keys and values of earlier passes, which are approximate behind
    the first layer.
    """

    rows: Tensor | None = None
    columns: Tensor | None = None

    def select(self, rows: Tensor | None, columns: Tensor | None) -> None:
        """Select the input of the following forward passes.

        Args:
            rows: (R,) the rows that take part; None is all of them.
            columns: (R, C) the columns of the C input tokens of every row, where one
                may stand several times; None is all of them, in order.
        """
        self.rows, self.columns = rows, columns

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Replace (R, num_kv_heads, C, head_dim); return those of all columns."""
        return (
            self._replace(self.keys[layer], keys),
            self._replace(self.values[layer], values),
        )

    def _replace(self, kept: Tensor, new: Tensor) -> Tensor:
        rows = slice(None) if self.rows is None else self.rows
        if self.columns is None:
            kept[rows] = new
            return new
        index = torch.arange(len(kept), device=kept.device)[rows]
        kept[index[:, None], :, self.columns] = new.transpose(1, 2)
        return kept[rows]
