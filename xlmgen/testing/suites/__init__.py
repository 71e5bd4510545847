"""Test suites, one module per part of a family and variant."""
