"""Keys and values of the tokens that a causal model has already seen."""

import torch
from torch import Tensor


class KeyValueCache:
    """Preallocated keys and values: (layers, B, kv_heads, max_length, head_dim) each.

    `append` writes the new tokens of one layer behind `length`, the number of tokens
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

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
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
