"""Namespaces of our own without being root, and work inside them."""
