"""From examples to batches: tokenizers, sources, cache, layout, data module."""
