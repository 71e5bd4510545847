"""Read and validate YAML files, and report all their problems at once."""
