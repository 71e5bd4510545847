"""Terminal output, with untrusted text escaped."""
