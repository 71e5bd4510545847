"""Checkpoints of other libraries: reading them into a run, and writing one."""
