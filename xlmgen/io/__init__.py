"""Files: bounded reading and atomic writing."""
