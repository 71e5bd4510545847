"""Sweeps: many runs that are planned, trained and evaluated by one command."""
