"""Preview of the model's input: lengths of a task, examples and a batch."""
