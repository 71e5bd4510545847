"""The version of xlmgen."""

__version__ = "0.2.0"
