"""The suites, one module for every part of a family and every way it can work."""
