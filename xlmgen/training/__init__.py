"""Training: optimiser, checkpoints, validation, progress and the trainer."""
