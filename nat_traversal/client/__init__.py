"""A client as machines without I/O."""
