"""What people see: the terminal, and text of others made safe for it."""
