"""Run folders: the inputs and outputs of a run."""
