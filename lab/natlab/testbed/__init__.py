"""A standing lab for tests and commands: start programs, wait, look, end."""
