"""Tasks: where examples come from, and functions that score answers."""
