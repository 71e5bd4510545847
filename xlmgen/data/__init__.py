"""From examples to batches: layout, tokenizers, sources, packing, cache, data module."""
