"""What a model will see: a task's lengths, its examples and a batch."""
