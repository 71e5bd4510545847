"""Reading and checking YAML: what a file says, and every problem with it at once."""
