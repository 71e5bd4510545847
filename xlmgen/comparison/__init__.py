"""Comparison of runs: differences of their results and of their settings."""
