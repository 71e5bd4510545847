"""Language-model families from one YAML file: checked, rendered, proven, trained."""

__version__ = "0.2.0"
