"""Batches of examples: layouts, dropped tokens, gaps."""
