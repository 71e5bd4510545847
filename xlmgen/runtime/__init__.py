"""Everything that rendered families import."""
