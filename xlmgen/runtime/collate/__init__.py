"""Layouts of batches, dropped tokens, and gaps."""
