"""States of a generation."""
