"""Runs side by side: whether they may be compared, and how their results differ."""
